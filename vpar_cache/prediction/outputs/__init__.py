"""What people look at: a sheet of frames, an annotated video, a page. In: `PersonRow`s."""

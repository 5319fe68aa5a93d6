"""`vpar report`: tables of runs beside the published rows."""

from pathlib import Path
from typing import Annotated

import typer

from .console import print_document, say


def report(
    run: Annotated[
        list[Path] | None, typer.Argument(help="Run folders, or their names. Default: all finished runs.")
    ] = None,
    runs: Annotated[Path, typer.Option(help="Folder of the run folders.")] = Path("cache/runs"),
    format: Annotated[str, typer.Option(help="rich, markdown, csv or json.")] = "rich",
    html: Annotated[
        Path | None, typer.Option(help="Also write a page with all details to this .html file.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing page.")] = False,
    details: Annotated[
        bool,
        typer.Option("--details", help="Also intervals, outputs, calibration, classes and parts of each run."),
    ] = False,
    compare: Annotated[
        bool,
        typer.Option("--compare", help="Also the differences of each later run to the first, with intervals."),
    ] = False,
) -> None:
    """Show your runs beside the published rows and the best constant.

    Table 1 and Table 2, under each protocol. The exit status is 1 where a run was left out since its files are
    damaged.

    Examples:

        vpar report
        vpar report RUN --details
        vpar report RUN OTHER --compare --html report.html
    """
    from vpar_cache.base.checks import check_new_file
    from vpar_cache.rendering.formats import check_format
    from vpar_cache.rendering.page import check_page_path, write_page
    from vpar_cache.reporting.report import report as make_report

    check_format(format)
    if html is not None:
        check_page_path(html)
        check_new_file("--html", html, overwrite)
    built = make_report(run or [], runs, details, compare)
    notes = built.notes
    if html is not None:
        page = built.with_all_details()
        notes = page.notes
        write_page(html, page.parts, notes)
    print_document(built, format)
    for note in notes:
        say(note)
    if html is not None:
        say(f"page: {html}")
    if built.is_incomplete:
        raise typer.Exit(1)

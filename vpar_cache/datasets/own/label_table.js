// The labels of all tracklets. "" is missing, "NA" cannot be seen; both are unknown to a training.
const SPLITS = ["train", "validation", "test"];
const OTHER_SPELLINGS = { val: "validation", valid: "validation" };

class LabelTable {
  constructor(questions, tracklets) {
    this.tracklets = tracklets;
    this.fields = [
      ...questions.map((question) => ({ ...question, kind: "attribute" })),
      { column: "split", title: "split of this person", values: SPLITS, kind: "split" },
      { column: "person_id", title: "person", values: [], kind: "person" },
    ];
    this.rows = new Map(tracklets.map(({ name }) => [name, Object.assign(Object.create(null), { person_id: name })]));
    this.otherColumns = []; // of a label file, which nothing here asks for: they are saved again
    this.otherRows = []; // of tracklets that the page does not show: they are saved again
  }

  row(number) { return this.rows.get(this.tracklets[number].name); }

  isMissing(number, field) { return field.kind === "attribute" && !this.row(number)[field.column]; }

  countMissing(number) { return this.fields.filter((field) => this.isMissing(number, field)).length; }

  people() { return new Set([...this.rows.values()].map((row) => row.person_id)); }

  // Takes over the rows of a label file; returns what to say about them. Throws Error for another table.
  take([header = [], ...records]) {
    header = header.map((name) => name.trim());
    const names = header.map(normalise);
    const key = names.indexOf("tracklet");
    if (key < 0) throw new Error('it has no column "tracklet"');
    const places = this.fields.map(({ column, spellings = [normalise(column)] }) =>
      names.findIndex((name) => spellings.includes(name)));
    const others = [...header.entries()].filter(([i, name]) => name && i !== key && !places.includes(i));
    this.otherColumns = others.map(([, name]) => name);
    this.otherRows = [];
    let odd = 0;
    for (const cells of records) {
      const name = (cells[key] ?? "").trim();
      const row = this.rows.get(name) ?? Object.assign(Object.create(null), { tracklet: name });
      this.fields.forEach((field, i) => {
        if (places[i] < 0) return;
        const text = (cells[places[i]] ?? "").trim();
        const value = read(field, text);
        if (text && !value) odd += 1;
        row[field.column] = value || (field.kind === "person" ? name : "");
      });
      for (const [i, column] of others) row[column] = cells[i] ?? "";
      if (!this.rows.has(name)) this.otherRows.push(row);
    }
    const parts = [`${records.length - this.otherRows.length} of ${this.tracklets.length} tracklets read`];
    if (odd) parts.push(`${counted(odd, "cell holds", "cells hold")} no value of the schema: shown as missing`);
    if (this.otherRows.length) parts.push(`${counted(this.otherRows.length, "row")} of other tracklets kept`);
    return `${parts.join("; ")}.`;
  }

  // Returns the rows of labels.csv, the header first.
  table() {
    const attributes = this.fields.filter((field) => field.kind === "attribute").map((field) => field.column);
    const columns = ["split", "person_id", ...attributes, ...this.otherColumns];
    const line = (name, row) => [name, ...columns.map((column) => row[column] ?? "")];
    return [
      ["tracklet", ...columns],
      ...this.tracklets.map(({ name }) => line(name, this.rows.get(name))),
      ...this.otherRows.map((row) => line(row.tracklet, row)),
    ];
  }

  set(number, field, value) {
    const row = this.row(number);
    if (field.kind === "split") this.setSplit(row.person_id, value);
    else if (field.kind === "person") this.setPerson(number, value);
    else row[field.column] = value;
  }

  // A person has one split, or the scores would be too high: it holds for all tracklets of the person.
  setSplit(person, split) {
    for (const row of this.rows.values()) if (row.person_id === person) row.split = split;
  }

  setPerson(number, person) {
    const row = this.row(number);
    row.person_id = person.trim() || this.tracklets[number].name;
    row.split = this.splitOf(row.person_id, row) || row.split;
  }

  // The split that a person has in rows other than `except`.
  splitOf(person, except) {
    const rows = [...this.rows.values()];
    return rows.find((row) => row !== except && row.person_id === person && row.split)?.split ?? "";
  }

  // Gives each person without a split one, the second of each three to test; returns how many people.
  divide() {
    const without = [...this.people()].filter((person) => !this.splitOf(person));
    without.forEach((person, i) => this.setSplit(person, i % 3 === 1 ? "test" : "train"));
    for (const row of this.rows.values()) row.split ||= this.splitOf(row.person_id);
    return without.length;
  }
}

const counted = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;

// Returns the value of a cell as the page holds it; "" for what is no value.
const read = (field, text) => {
  if (field.kind === "person") return text;
  if (field.kind === "split") {
    const name = text.toLowerCase();
    const split = OTHER_SPELLINGS[name] ?? name;
    return SPLITS.includes(split) ? split : "";
  }
  if (/^(-1([.,]0+)?|na|n\/a|nan)$/i.test(text)) return "NA";
  const number = /^(\d{1,9})([.,]0+)?$/.exec({ true: "1", false: "0" }[text.toLowerCase()] ?? text);
  return number && Number(number[1]) < field.values.length ? String(Number(number[1])) : "";
};

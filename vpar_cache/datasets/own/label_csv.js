"use strict";
// Reads and writes labels.csv as vpar does: comma, semicolon or tab, a byte order mark, a first line sep=;

// Returns the rows of cells that are not blank. Throws Error where a quote is never closed.
const parseCsv = (text) => {
  text = text.replace(/^\uFEFF/, "");
  const named = /^"?sep=([,;\t])"?[,;\t]*\s*(\r?\n|$)/.exec(text);
  if (named) text = text.slice(named[0].length);
  const separator = named ? named[1] : separatorOf(text);
  const rows = [[""]];
  let quoted = false;
  for (let i = 0; i < text.length; i += 1) {
    const row = rows[rows.length - 1];
    const c = text[i];
    if (quoted) {
      if (c !== '"') row[row.length - 1] += c;
      else if (text[i + 1] === '"') { row[row.length - 1] += c; i += 1; }
      else quoted = false;
    } else if (c === '"' && row[row.length - 1] === "") quoted = true;
    else if (c === separator) row.push("");
    else if (c === "\n" || c === "\r") {
      if (c === "\r" && text[i + 1] === "\n") i += 1;
      rows.push([""]);
    } else row[row.length - 1] += c;
  }
  if (quoted) throw new Error("a quote is never closed");
  return rows.filter((row) => row.some((cell) => cell.trim()));
};

// Returns the separator that cuts the first row into most cells.
const separatorOf = (text) => {
  const header = text.split(/\r?\n/).find((line) => line.trim()) ?? "";
  const count = (separator) => header.split(separator).length;
  return [",", ";", "\t"].reduce((best, other) => (count(other) > count(best) ? other : best));
};

const formatCsv = (rows) => {
  const cell = (text) => (/[",;\t\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  return rows.map((row) => `${row.map(cell).join(",")}\n`).join("");
};

// As vpar compares names of columns: without case, spaces, underscores and hyphens.
const normalise = (name) => name.normalize("NFC").replace(/[\s_-]+/g, "").toLowerCase();

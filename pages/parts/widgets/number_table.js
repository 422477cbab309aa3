// An image as its numbers: each a cell in its own shade. Scrolls sideways where it is wider than the page.
export default function ({ data, parentElement }) {
  const place = parentElement.querySelector(".place");
  const table = document.createElement("table");
  table.setAttribute("aria-label", data.label);
  const head = table.createTHead().insertRow();
  head.append(document.createElement("th"), ...data.rows[0].map((_, column) => number("th", column)));
  const body = table.createTBody();
  data.rows.forEach((values, index) => {
    const row = body.insertRow();
    row.append(number("th", index));
    values.forEach((value, column) => {
      const cell = number("td", value);
      cell.style.background = `rgb(${data.tint.map((part) => Math.round((part * value) / 255)).join(",")})`;
      cell.style.color = value * data.light > 127 ? "#000" : value ? "#fff" : "#777";
      cell.title = `row ${index}, column ${column}: ${value}`;
      row.append(cell);
    });
  });
  place.replaceChildren(table);
}

function number(kind, value) {
  const cell = document.createElement(kind);
  cell.textContent = value;
  return cell;
}

// A table whose columns sort: the heading of each is a button, and says by
// aria-sort which way the rows go.

// sortable makes a table. Columns are {name, number}; a row is an array of
// cells, a cell text, a number, or {text, key} where it sorts by another key.
export function sortable(caption, columns, rows) {
  const table = document.createElement('table');
  table.createCaption().textContent = caption;
  const head = table.createTHead().insertRow(), body = table.createTBody();
  const heads = columns.map((column, i) => {
    const th = document.createElement('th'), button = document.createElement('button');
    th.scope = 'col';
    button.type = 'button';
    button.textContent = column.name;
    button.onclick = () => sort(i, th.getAttribute('aria-sort') === 'ascending' ? -1 : 1);
    th.append(button);
    head.append(th);
    return th;
  });
  const lines = rows.map((cells) => {
    const tr = document.createElement('tr');
    tr.append(...cells.map((cell, i) => {
      const td = document.createElement(i === 0 ? 'th' : 'td');
      if (i === 0) td.scope = 'row';
      if (columns[i].number) td.className = 'number';
      td.textContent = text(cell);
      return td;
    }));
    return { tr, cells };
  });

  // Equal rows keep the order they came in.
  function sort(column, way) {
    heads.forEach((th, i) => {
      if (i === column) th.setAttribute('aria-sort', way > 0 ? 'ascending' : 'descending');
      else th.removeAttribute('aria-sort');
    });
    const sorted = lines.slice().sort((a, b) => way * compare(key(a.cells[column]), key(b.cells[column])));
    body.append(...sorted.map((line) => line.tr));
  }

  body.append(...lines.map((line) => line.tr));
  return table;
}

function text(cell) {
  if (typeof cell === 'number') return cell.toLocaleString('en');
  return typeof cell === 'object' ? cell.text : cell;
}

function key(cell) {
  return typeof cell === 'object' ? cell.key : cell;
}

function compare(a, b) {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  return String(a).localeCompare(String(b), 'en', { numeric: true });
}

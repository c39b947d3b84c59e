// How the sheet looks. Colours are those of the page's theme, light or dark.

import { element } from "../page/dom.js";

const STYLE = `
.pullback-sheet {
  display: flex; flex-direction: column; box-sizing: border-box; width: 100%; height: 100%; min-height: 0;
  overflow: hidden; position: relative; border-radius: 8px; text-align: left;
  background: var(--comfy-menu-bg, #353535); color: var(--fg-color, #ddd);
  font: 13px/1.35 system-ui, sans-serif; user-select: none; -webkit-user-select: none;
}
.pullback-sheet [hidden] { display: none !important; }
.pullback-sheet * { box-sizing: border-box; }
.pullback-sheet .pv-badge {
  flex: none; align-self: flex-start; margin: 8px 8px 0; padding: 2px 9px; border-radius: 99px;
  font-size: 12px; font-weight: 600; color: #fff; background: #c77d0a;
}
.pullback-sheet .pv-area {
  position: relative; flex: 1; min-height: 0; overflow: hidden auto; scrollbar-width: thin;
}
.pullback-sheet .pv-table {
  display: grid; gap: 4px; padding: 6px 8px; align-items: center;
  grid-template-columns: minmax(64px, max-content) repeat(var(--pv-columns, 1), minmax(0, 1fr));
}
.pullback-sheet .pv-table:empty { display: none; }
.pullback-sheet .pv-heading {
  text-align: center; color: var(--descrip-text, #999); font-variant-numeric: tabular-nums;
}
.pullback-sheet .pv-label {
  display: flex; flex-direction: column; max-width: 130px; padding-right: 6px;
}
.pullback-sheet .pv-label strong { font-weight: 600; overflow-wrap: anywhere; }
.pullback-sheet .pv-label span {
  font-size: 11px; line-height: 1.3; color: var(--descrip-text, #999); white-space: pre-line;
}
.pullback-sheet .pv-cell {
  appearance: none; display: block; width: 100%; padding: 0; border: 0; border-radius: 4px; cursor: pointer;
  background-repeat: no-repeat; background-color: var(--comfy-input-bg, #222);
}
.pullback-sheet .pv-cell:hover,
.pullback-sheet .pv-cell:focus-visible {
  outline: 2px solid var(--fg-color, #ddd);
}
.pullback-sheet .pv-cell[aria-pressed="true"] {
  outline: 3px solid var(--primary-background, #3f8cff); outline-offset: 1px;
}
.pullback-sheet .pv-lens {
  position: absolute; z-index: 2; pointer-events: none; border-radius: 6px; background-repeat: no-repeat;
  box-shadow: 0 6px 24px #000a, 0 0 0 1px #fff6; padding: 6px 8px; font-size: 12px; color: #fff;
  text-shadow: 0 0 3px #000, 0 0 6px #000;
}
.pullback-sheet .pv-note {
  flex: none; padding: 5px 10px; min-height: 28px; border-top: 1px solid var(--border-color, #4e4e4e);
  color: var(--descrip-text, #999); user-select: text; -webkit-user-select: text;
}
`;

/**
 * The style as an element, for the inside of each sheet.
 * @returns {HTMLStyleElement}
 */
export function styleElement() {
  return element("style", { text: STYLE });
}

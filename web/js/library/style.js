// How the library looks. Colours are those of the page's theme, light or dark.

import { element } from "../page/dom.js";

const STYLE = `
.pullback-library {
  display: flex; flex-direction: column; gap: 6px; box-sizing: border-box; width: 100%; height: 100%;
  min-height: 0; padding: 6px; overflow: hidden; border-radius: 8px; text-align: left;
  background: var(--comfy-menu-bg, #353535); color: var(--fg-color, #ddd);
  font: 13px/1.3 system-ui, sans-serif; user-select: none; -webkit-user-select: none;
}
.pullback-library [hidden] { display: none !important; }
.pullback-library * { box-sizing: border-box; }
.pullback-library .pl-search {
  flex: none; width: 100%; padding: 4px 8px; border-radius: 6px; font: inherit;
  border: 1px solid var(--border-color, #4e4e4e); color: var(--input-text, #ddd);
  background: var(--comfy-input-bg, #222);
}
.pullback-library .pl-grid {
  flex: 0 1 auto; min-height: 0; overflow: hidden auto; scrollbar-width: thin; padding: 3px;
  display: grid; gap: 8px; align-content: start;
  grid-template-columns: repeat(auto-fill, minmax(96px, 1fr));
}
.pullback-library .pl-grid:empty { display: none; }
.pullback-library .pl-card {
  appearance: none; display: flex; flex-direction: column; gap: 2px; min-width: 0; padding: 4px;
  cursor: pointer;
  border: 0; border-radius: 7px; font: inherit; color: inherit; text-align: left;
  background: var(--comfy-input-bg, #222);
}
.pullback-library .pl-card:hover,
.pullback-library .pl-card:focus-visible {
  outline: 2px solid var(--fg-color, #ddd);
}
.pullback-library .pl-card[aria-selected="true"] {
  outline: 3px solid var(--primary-background, #3f8cff);
}
.pullback-library .pl-picture {
  display: flex; width: 100%; aspect-ratio: 1; overflow: hidden; border-radius: 5px;
  background: color-mix(in srgb, var(--fg-color, #ddd) 8%, transparent);
}
.pullback-library .pl-picture img { width: 100%; height: 100%; object-fit: contain; }
.pullback-library .pl-blank { margin: auto; font-size: 28px; color: var(--descrip-text, #999); }
.pullback-library .pl-card strong {
  font-weight: 600; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; padding: 2px 2px 0;
}
.pullback-library .pl-card small { color: var(--descrip-text, #999); padding: 0 2px; }
.pullback-library .pl-note { padding: 10px; color: var(--descrip-text, #999); }
`;

/**
 * The style as an element, for the inside of each library.
 * @returns {HTMLStyleElement}
 */
export function styleElement() {
  return element("style", { text: STYLE });
}

// How a board looks. Colours are those of the page's theme, light or dark.

import { element } from "../page/dom.js";

const STYLE = `
.pullback-board {
  --pb-fg: var(--fg-color, #ddd); --pb-soft: var(--descrip-text, #999);
  --pb-bg: var(--comfy-menu-bg, #353535); --pb-field: var(--comfy-input-bg, #222);
  --pb-line: var(--border-color, #4e4e4e); --pb-text: var(--input-text, var(--pb-fg));
  --pb-accent: var(--primary-background, #3f8cff); --pb-on: #fff; --pb-good: #2f9e62;
  --pb-warn: #c77d0a; --pb-bad: #d64545;
  --pb-thin: color-mix(in srgb, var(--pb-fg) 12%, transparent); position: relative;
  box-sizing: border-box; width: 100%; height: 100%; min-height: 400px; overflow: hidden;
  container-type: size; border-radius: 8px; background: var(--pb-bg); color: var(--pb-fg);
  font: 14px/1.3 system-ui, sans-serif; user-select: none; -webkit-user-select: none;
  text-align: left;
}
.pullback-board *, .pullback-board *::before { box-sizing: border-box; }
.pullback-board [hidden] { display: none !important; }
.pullback-board svg {
  width: 16px; height: 16px; flex: none; fill: none; stroke: currentColor; stroke-width: 1.4;
  stroke-linecap: round; stroke-linejoin: round;
}
/* Nodes 2.0 of older pages gives the height of a node to no widget of a kind that it does not know. */
.lg-node-widgets:has(> .lg-node-widget:only-child .pullback-board) {
  grid-template-rows: minmax(0, 1fr) !important;
}
.pullback-board .pb-layout { display: flex; flex-direction: column; width: 100%; height: 100%; }
.pullback-board .pb-head { display: flex; flex-direction: column; flex: 1 1 58%; min-height: 0; }
.pullback-board .pb-panel {
  flex: 0 1 42%; min-height: 0; overflow: hidden auto; padding: 2px 10px 10px;
  scrollbar-width: thin; scrollbar-color: var(--pb-line) transparent;
  border-top: 1px solid var(--pb-line);
}
@container (min-aspect-ratio: 1/1) {
  .pullback-board .pb-layout { flex-direction: row; }
  .pullback-board .pb-head { flex: 1 1 58%; min-width: 0; }
  .pullback-board .pb-panel {
    flex: 0 0 max(42%, 264px); border-top: 0; border-left: 1px solid var(--pb-line);
  }
}
.pullback-board.pb-is-empty .pb-panel, .pullback-board.pb-is-empty .pb-tools { display: none; }
.pullback-board .pb-stage {
  position: relative; flex: 1; min-height: 0; display: flex; align-items: center;
  justify-content: center; background: color-mix(in srgb, var(--pb-field) 70%, #000 8%);
  overflow: hidden;
}
.pullback-board .pb-frame { position: relative; flex: none; }
.pullback-board.pb-is-empty .pb-frame { display: none; }
.pullback-board .pb-picture {
  display: block; width: 100%; height: 100%; touch-action: none; cursor: pointer;
}
.pullback-board .pb-divider {
  display: none; position: absolute; top: 0; bottom: 0; left: var(--pb-wipe, 50%); width: 28px;
  margin-left: -14px; cursor: ew-resize; touch-action: none;
}
.pullback-board .pb-divider::before {
  content: ""; position: absolute; left: 13px; top: 0; bottom: 0; width: 2px; background: #fff;
  box-shadow: 0 0 4px #000a;
}
.pullback-board .pb-divider i {
  position: absolute; left: 2px; top: calc(50% - 12px); width: 24px; height: 24px;
  border-radius: 50%; border: 2px solid #fff; background: #0008; box-shadow: 0 0 4px #000a;
}
.pullback-board .pb-wiping .pb-divider { display: block; }
.pullback-board .pb-badge {
  position: absolute; left: 8px; top: 8px; max-width: calc(100% - 16px); padding: 3px 9px;
  border-radius: 99px; font-size: 12px; font-weight: 600; color: #fff; background: #000a;
  pointer-events: none;
}
.pullback-board .pb-badge[data-kind="true"] { background: var(--pb-good); }
.pullback-board .pb-badge[data-kind="beyond"], .pullback-board .pb-badge[data-kind="differs"] {
  background: var(--pb-warn);
}
.pullback-board .pb-badge[data-kind="before"] { opacity: 0.75; font-weight: 400; }
.pullback-board .pb-status {
  position: absolute; left: 8px; right: 8px; bottom: 8px; display: flex; align-items: center;
  gap: 8px; padding: 3px 4px 3px 10px; border-radius: 6px; overflow: hidden; color: #fff;
  background: #000b; min-height: 28px;
}
.pullback-board .pb-status .pb-press { color: #fff; }
.pullback-board .pb-status.pb-error { background: var(--pb-bad); }
.pullback-board .pb-status-words {
  flex: 1; overflow: hidden; display: -webkit-box; -webkit-box-orient: vertical;
  -webkit-line-clamp: 3; user-select: text;
}
.pullback-board .pb-bar {
  position: absolute; left: 0; bottom: 0; height: 3px; background: var(--pb-accent);
  transition: width 0.2s;
}
.pullback-board .pb-mask {
  position: absolute; inset: 0; width: 100%; height: 100%; opacity: 0; pointer-events: none;
  touch-action: none; transition: opacity 0.15s;
}
.pullback-board .pb-painting .pb-mask { pointer-events: auto; cursor: none; }
.pullback-board .pb-painting:hover .pb-mask, .pullback-board .pb-stroke .pb-mask { opacity: 1; }
.pullback-board .pb-cursor {
  display: none; position: absolute; aspect-ratio: 1; transform: translate(-50%, -50%);
  border-radius: 50%; border: 1.5px solid #fff; box-shadow: 0 0 0 1px #000a, inset 0 0 0 1px #0006;
  pointer-events: none;
}
.pullback-board .pb-painting:hover .pb-cursor, .pullback-board .pb-stroke .pb-cursor {
  display: block;
}
.pullback-board .pb-painting { overflow: hidden; }
.pullback-board .pb-empty {
  display: none; flex-direction: column; align-items: center; gap: 10px; max-width: 380px;
  padding: 24px; text-align: center; color: var(--pb-soft);
}
.pullback-board .pb-empty > svg { width: 40px; height: 40px; stroke-width: 0.8; }
.pullback-board .pb-empty strong { color: var(--pb-fg); font-size: 15px; }
.pullback-board .pb-empty p { margin: 0; line-height: 1.5; }
.pullback-board.pb-is-empty .pb-empty { display: flex; }
.pullback-board .pb-tools {
  display: flex; align-items: center; justify-content: space-between; gap: 8px; padding: 6px 10px;
  flex: none; min-width: 0; flex-wrap: wrap;
}
.pullback-board .pb-tool-group { display: flex; align-items: center; gap: 4px; }
.pullback-board .pb-press {
  position: relative; display: inline-flex; align-items: center; justify-content: center; gap: 6px;
  min-height: 28px; padding: 0 8px; border-radius: 6px; color: var(--pb-text);
}
.pullback-board .pb-press > input {
  position: absolute; inset: 0; width: 100%; height: 100%; margin: 0; padding: 0; opacity: 0;
  cursor: pointer; touch-action: manipulation;
}
.pullback-board .pb-icon { width: 32px; padding: 0; }
.pullback-board .pb-press:hover { background: var(--pb-thin); }
.pullback-board .pb-press:has(input:focus-visible), .pullback-board .pb-live:has(input:focus-visible) {
  outline: 2px solid var(--pb-accent); outline-offset: 1px;
}
.pullback-board .pb-pressed { background: var(--pb-accent); color: var(--pb-on); }
.pullback-board .pb-pressed:hover { background: var(--pb-accent); filter: brightness(1.1); }
.pullback-board .pb-strong {
  padding: 0 12px; background: var(--pb-accent); color: var(--pb-on); font-weight: 600;
}
.pullback-board .pb-strong:hover { background: var(--pb-accent); filter: brightness(1.1); }
.pullback-board .pb-run > svg { fill: currentColor; width: 12px; height: 12px; }
.pullback-board .pb-off { opacity: 0.35; }
.pullback-board .pb-off > input { cursor: default; }
.pullback-board .pb-live {
  position: relative; display: flex; align-items: center; gap: 6px; padding: 4px 6px;
  border-radius: 6px; cursor: pointer;
}
.pullback-board .pb-live input {
  appearance: none; width: 28px; height: 16px; margin: 0; border-radius: 99px;
  background: var(--pb-line); cursor: pointer; transition: background 0.15s;
}
.pullback-board .pb-live input::before {
  content: ""; display: block; width: 12px; height: 12px; margin: 2px; border-radius: 50%;
  background: #fff; transition: transform 0.15s;
}
.pullback-board .pb-live input:checked { background: var(--pb-accent); }
.pullback-board .pb-live input:checked::before { transform: translateX(12px); }
.pullback-board .pb-brush-tools { padding-top: 0; justify-content: flex-start; }
.pullback-board .pb-tool-range {
  display: flex; align-items: center; gap: 6px; color: var(--pb-soft); flex: 1; min-width: 90px;
}
.pullback-board .pb-tool-range input {
  flex: 1; min-width: 50px; margin: 0; accent-color: var(--pb-accent); touch-action: none;
}
.pullback-board .pb-fold + .pb-fold, .pullback-board .pb-groups + .pb-fold {
  border-top: 1px solid var(--pb-thin);
}
.pullback-board .pb-fold-head {
  display: flex; justify-content: flex-start; padding: 0 4px; min-height: 32px;
  color: var(--pb-soft);
}
.pullback-board .pb-fold-head > svg:first-child { color: var(--pb-accent); }
.pullback-board .pb-fold-title { font-weight: 600; color: var(--pb-fg); }
.pullback-board .pb-fold-said { flex: 1; color: var(--pb-accent); font-size: 12px; }
.pullback-board .pb-open > .pb-fold-head > .pb-fold-said { visibility: hidden; }
.pullback-board .pb-fold-head > svg:last-of-type {
  transition: transform 0.15s; transform: rotate(-90deg);
}
.pullback-board .pb-open > .pb-fold-head > svg:last-of-type { transform: none; }
.pullback-board .pb-fold-body { display: none; padding: 2px 0 8px; }
.pullback-board .pb-open > .pb-fold-body { display: block; }
.pullback-board .pb-slider-list {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(220px, 1fr)); gap: 8px 18px;
}
.pullback-board .pb-slider { display: flex; align-items: center; gap: 8px; min-width: 0; }
.pullback-board .pb-thumbnail {
  flex: none; width: 44px; height: 44px; object-fit: cover; border-radius: 5px;
  background: var(--pb-field); cursor: pointer;
}
.pullback-board .pb-thumbnail:hover { outline: 2px solid var(--pb-accent); }
.pullback-board .pb-slider-middle { flex: 1; min-width: 0; }
.pullback-board .pb-slider-head { display: flex; align-items: baseline; gap: 6px; }
.pullback-board .pb-slider-name {
  flex: 0 1 auto; min-width: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap;
}
.pullback-board .pb-share { flex: none; color: var(--pb-soft); font-size: 11px; }
.pullback-board .pb-share.pb-low { color: var(--pb-warn); }
.pullback-board .pb-number {
  margin-left: auto; font-variant-numeric: tabular-nums; color: var(--pb-soft);
}
.pullback-board .pb-set > .pb-slider-middle .pb-number { color: var(--pb-fg); font-weight: 600; }
.pullback-board .pb-beyond .pb-number { color: var(--pb-warn) !important; }
.pullback-board .pb-track {
  position: relative; height: 22px; cursor: pointer; touch-action: none; border-radius: 6px;
  --pb-rail: color-mix(in srgb, var(--pb-fg) 14%, transparent);
  --pb-span: color-mix(in srgb, var(--pb-fg) 34%, transparent);
}
.pullback-board .pb-track::before {
  content: ""; position: absolute; inset: 9px 0; border-radius: 2px;
  background:
    linear-gradient(90deg, transparent var(--pb-from), var(--pb-accent) 0 var(--pb-to), transparent 0),
    linear-gradient(90deg, var(--pb-rail) var(--pb-low), var(--pb-span) 0 var(--pb-high), var(--pb-rail) 0);
}
.pullback-board .pb-track::after {
  content: ""; position: absolute; left: calc(50% - 0.5px); top: 5px; bottom: 5px; width: 1px;
  background: var(--pb-soft);
}
.pullback-board .pb-handle {
  position: absolute; z-index: 1; left: var(--pb-value); top: 4px; width: 14px; height: 14px;
  margin-left: -7px; border-radius: 50%; background: var(--pb-fg); box-shadow: 0 1px 3px #0008;
}
.pullback-board .pb-set .pb-handle {
  background: var(--pb-accent); box-shadow: 0 0 0 2px var(--pb-bg), 0 1px 3px #0008;
}
.pullback-board .pb-beyond .pb-handle { background: var(--pb-warn); }
.pullback-board .pb-track:has(input:focus-visible) .pb-handle {
  outline: 2px solid var(--pb-accent); outline-offset: 2px;
}
.pullback-board .pb-track > input {
  position: absolute; inset: 0; width: 100%; height: 100%; margin: 0; opacity: 0;
  pointer-events: none;
}
.pullback-board .pb-more { padding-bottom: 4px; }
.pullback-board .pb-quiet { color: var(--pb-soft); font-size: 12px; }
.pullback-board .pb-more.pb-set .pb-quiet { color: var(--pb-accent); }
.pullback-board .pb-line { display: flex; gap: 8px; padding: 2px 0 8px; }
.pullback-board .pb-field {
  flex: 1; min-width: 0; height: 30px; padding: 0 10px; border: 1px solid var(--pb-line);
  border-radius: 6px; background: var(--pb-field); color: var(--pb-text); font: inherit;
  user-select: text;
}
.pullback-board .pb-field:focus { outline: 2px solid var(--pb-accent); outline-offset: -1px; }
.pullback-board .pb-notice {
  display: flex; align-items: center; justify-content: space-between; gap: 8px; padding: 0 0 8px;
  color: var(--pb-warn);
}
.pullback-board .pb-said {
  color: var(--pb-soft); padding-bottom: 6px; user-select: text; overflow-wrap: anywhere;
}
.pullback-board .pb-said:empty { display: none; }
.pullback-board .pb-said.pb-error { color: var(--pb-bad); }
.pullback-board .pb-sheet { display: grid; gap: 4px; max-width: 520px; }
.pullback-board .pb-sheet-row {
  display: grid; grid-template-columns: 18px repeat(4, minmax(0, 1fr)); gap: 4px;
  align-items: center;
}
.pullback-board .pb-sheet-head { text-align: center; color: var(--pb-soft); font-size: 11px; }
.pullback-board .pb-sheet-name { overflow: hidden; text-overflow: ellipsis; font-size: 12px; }
.pullback-board .pb-cell {
  padding: 0; border-radius: 5px; overflow: hidden; aspect-ratio: 1; min-height: 0;
  background: var(--pb-field);
}
.pullback-board .pb-cell canvas { width: 100%; height: 100%; object-fit: cover; }
.pullback-board .pb-cell.pb-beyond canvas { opacity: 0.55; }
.pullback-board .pb-cell.pb-beyond::before {
  content: ""; position: absolute; right: 4px; top: 4px; width: 8px; height: 8px;
  border-radius: 50%; background: var(--pb-warn); z-index: 1;
}
.pullback-board .pb-cell:hover canvas { opacity: 1; }
.pullback-board .pb-cell:hover, .pullback-board .pb-cell:has(input:focus-visible) {
  outline: 2px solid var(--pb-accent);
}
.pullback-board .pb-cell.pb-chosen { outline: 3px solid var(--pb-accent); }
.pullback-board .pb-named > .pb-sheet-row { grid-template-columns: 60px repeat(4, minmax(0, 1fr)); }
.pullback-board .pb-kept {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(84px, 1fr)); gap: 8px;
}
.pullback-board .pb-entry {
  display: block; padding: 3px; font-size: 12px; text-align: center; min-width: 0;
}
.pullback-board .pb-entry img, .pullback-board .pb-no-picture {
  display: block; width: 100%; aspect-ratio: 1; object-fit: cover; border-radius: 5px;
  background: var(--pb-field);
}
.pullback-board .pb-entry-name {
  display: block; padding-top: 3px; overflow: hidden; text-overflow: ellipsis; white-space: nowrap;
}
.pullback-board .pb-quiet-text { color: var(--pb-soft); grid-column: 1 / -1; }
`;

/**
 * The style as an element, for the inside of each board.
 * @returns {HTMLStyleElement}
 */
export function styleElement() {
  return element("style", { text: STYLE });
}

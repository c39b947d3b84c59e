// What the page makes of pictures that Python sends: for tests/test_page_modules.py, as JSON in and out.

import { readFileSync } from "node:fs";

import { maskToText } from "../../web/js/board/mask_text.js";
import { BoardPictures } from "../../web/js/board/pictures.js";
import { regionDirections } from "../../web/js/board/region.js";

const { width, height, rows, changes, metric, mask, count } = JSON.parse(readFileSync(0, "utf-8"));
const before = new Uint8Array(3 * width * height);
const steps = changes.map((change) => Int8Array.from(change));
const pictures = new BoardPictures(width, height, rows, before, steps, metric);
const text = maskToText(Uint8Array.from(mask), width, height);
const found = regionDirections(pictures, text, count);
process.stdout.write(JSON.stringify(found.map(({ weights, inside }) => ({ weights: [...weights], inside }))));

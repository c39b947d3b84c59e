// The shapes that the server and the parts of the board hand to each other. Types alone: nothing runs here.

/**
 * A file of the host, as its route /view names it.
 * @typedef {{filename: string, subfolder: string, type: string}} FileRef
 *
 * What one direction or word does to the picture, at strength 1. Known rows are directions without a slider,
 * which regions are made of too.
 * @typedef {{kind: "direction" | "known" | "word", scale: number, name?: string, range?: [number, number],
 *   colour?: boolean, explained?: number}} Row
 *
 * What the node sends once it ran.
 * @typedef {{id: string, node: string, width: number, height: number, before: FileRef, changes: FileRef,
 *   rows: Row[], true?: FileRef, true_size?: [number, number],
 *   setting?: {mix: number[], words: Record<string, number>}, agreement?: number, reached?: number,
 *   metric?: number[][], known?: FileRef, known_width?: number, known_height?: number, mask?: FileRef,
 *   note?: string}} Payload
 *
 * One slider: its weights over the rows, and what is said of it. `share` is the part inside the region, or
 * the part of a word that the directions explain.
 * @typedef {{id: string, kind: "direction" | "word" | "region" | "rest", index: number, name: string,
 *   weights: Float64Array, range: [number, number], colour: boolean, share: number | null}} SliderSpec
 *
 * A basis file of the library.
 * @typedef {{file: string, name: string, names: string[], kind: string, notes: string, rank: number,
 *   thumbnail: boolean}} KeptDirection
 *
 * What a board needs of its node and of the page.
 * @typedef {{
 *   readState: () => string, writeState: (text: string) => void,
 *   readWords: () => string, writeWords: (text: string) => void, wordsAreLinked: () => boolean,
 *   missing: () => string[], isLive: () => boolean, setLive: (live: boolean) => void,
 *   run: () => Promise<unknown>, cancel: () => void, address: (file: FileRef) => string,
 *   keep: (name: string, state: string) => Promise<string>, library: () => Promise<KeptDirection[]>,
 *   thumbnailAddress: (file: string) => string, addLoader: (file: string) => void,
 * }} BoardHost
 */

export {};

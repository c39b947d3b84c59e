// Lint of the page's code. The limits are those of the Python code.

import js from "@eslint/js";
import jsdoc from "eslint-plugin-jsdoc";
import globals from "globals";

const rules = {
  "curly": ["error", "multi-line"],
  "eqeqeq": ["error", "always", { null: "ignore" }],
  "max-len": ["error", { code: 110, ignoreUrls: true }],
  "max-lines": ["error", 300],
  "max-lines-per-function": ["error", 60],
  "no-console": ["error", { allow: ["warn", "error"] }],
  "no-empty": ["error", { allowEmptyCatch: false }],
  "no-implicit-coercion": "error",
  "no-param-reassign": "error",
  "no-unused-vars": "error",
  "no-use-before-define": ["error", { functions: false, classes: false }],
  "no-var": "error",
  "object-shorthand": "error",
  "prefer-const": "error",
};

const documented = {
  "jsdoc/require-jsdoc": [
    "error",
    { require: { FunctionDeclaration: true, MethodDefinition: true, ClassDeclaration: true } },
  ],
  "jsdoc/require-description": ["error", { contexts: ["FunctionDeclaration", "ClassDeclaration"] }],
  "jsdoc/check-param-names": "error",
  "jsdoc/check-tag-names": "error",
  "jsdoc/no-bad-blocks": "error",
};

// What would reach beyond ComfyUI's own server, or into other packs' nodes.
const kept_apart = {
  "no-restricted-globals": ["error", "XMLHttpRequest", "WebSocket", "EventSource", "localStorage"],
  "no-restricted-properties": [
    "error",
    { object: "window", property: "localStorage", message: "The state of a node lies in its widgets." },
    { property: "prototype", message: "A replaced prototype also acts on other packs' nodes." },
    { property: "innerHTML", message: "Names come from files of other people: use textContent." },
  ],
};

export default [
  js.configs.recommended,
  {
    files: ["web/js/**/*.js"],
    plugins: { jsdoc },
    languageOptions: { ecmaVersion: 2022, sourceType: "module", globals: globals.browser },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: { ...rules, ...documented, ...kept_apart },
  },
  {
    files: ["tests/**/*.js", "tests/**/*.mjs"],
    languageOptions: { ecmaVersion: 2022, sourceType: "module", globals: globals.node },
    rules: { ...rules, "max-lines-per-function": "off" },
  },
  { ignores: ["**/node_modules/**"] },
];

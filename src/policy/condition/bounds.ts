// What a condition may cost at the most: part of the language, as its grammar is. What is written is bounded when it is read,
// what is evaluated by steps that are counted. Values only.

/** Characters of a condition. */
export const TEXT_MAX = 4096
/** Nodes of its syntax. */
export const NODES_MAX = 512
/** Brackets, members and arguments in each other. */
export const DEPTH_MAX = 32
/** Items of a list, or names of a map, that a comprehension runs over. */
export const ITEMS_MAX = 1000
/** Characters of a text that a condition builds. */
export const BUILT_MAX = 65_536
/** Characters of a pattern. */
export const PATTERN_MAX = 256
/** Ways of reading a call's method, path and query that are gone through. */
export const READINGS_MAX = 64
/** Steps of one judgement, all readings together: a node evaluated, an item compared, 64 characters looked at are one each. */
export const STEPS_MAX = 100_000
/** Steps that a regular expression costs for each character that it looks at. */
export const RE2_STEPS = 4

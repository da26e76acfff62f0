/** The release, as `package.json` has it. A test holds the two together. */
export const VERSION = '1.0.0'

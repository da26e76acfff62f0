/** The rooms that each room may import. */
export declare const ARROWS: Record<string, readonly string[]>
/** The files of a room that is no folder, as a part of a regular expression. */
export declare const FILES: Record<string, string>

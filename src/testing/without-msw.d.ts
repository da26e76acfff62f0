/**
 * Replaces msw's types if msw is not installed, so that the declarations of this package compile without it. A compiler uses a module
 * declaration whose name has a `*` only if it finds no package with the imported name, and this pattern matches no other package.
 */
declare module 'ms*w' {
  /** The class of msw, if msw is installed. */
  export interface HttpHandler {
    readonly info: { readonly header: string }
  }
}

/**
 * Stands for msw's types where msw is not installed, so that the declarations of this package compile there too. A compiler uses a module
 * whose name has a `*` only if it finds no package of the name that is imported, and no other package is named like this one.
 */
declare module 'ms*w' {
  /** msw's own class where msw is installed. */
  export interface HttpHandler {
    readonly info: { readonly header: string }
  }
}

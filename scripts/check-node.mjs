// `npm run` puts the Node of the `node` development dependency first on the path. Where its install script was blocked, an
// older system Node would be used in silence and fail later, in a place that says nothing about the cause.
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
if (major < 22 || (major === 22 && minor < 13)) {
  console.error(
    `This needs Node 22.13 or newer, and ${process.version} is running. ` +
      'The development dependency `node` brings one: run `npm ci` again with install scripts allowed for it.',
  )
  process.exit(1)
}

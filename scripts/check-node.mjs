// `npm run` puts the Node of the development dependency `node` first on the path. If its install script was blocked, an older system Node
// runs instead. It would fail later with an error that does not show the cause.
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
if (major < 22 || (major === 22 && minor < 13)) {
  console.error(
    `This project needs Node 22.13 or newer, but ${process.version} is running. ` +
      'The development dependency `node` contains one: run `npm ci` again with install scripts allowed for it.',
  )
  process.exit(1)
}

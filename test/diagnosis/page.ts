import { normalize, runDoctor } from './screen.ts'
import { WRONG_THINGS, type WrongThing } from './wrong-things.ts'

/** The page with the screens. */
export const PAGE = 'docs/troubleshooting.md'
/** The line after which the screens follow. */
export const MARK = '<!-- screens: written by `node test/diagnosis/write-page.ts` -->'

/** The section of one wrong thing: its heading, and the screen of the doctor. */
export async function sectionOf(thing: WrongThing): Promise<string> {
  const { out, world } = await runDoctor(thing)
  return `## ${thing.title}\n\n\`\`\`text\n${normalize(out, world)}\n\`\`\`\n`
}

/** The page with all screens, as the doctor writes them now. `text`: the page as it is. */
export async function rewritten(text: string): Promise<string> {
  const [intro = ''] = text.split(MARK)
  const sections: string[] = []
  for (const thing of WRONG_THINGS) sections.push(await sectionOf(thing))
  return `${intro}${MARK}\n\n${sections.join('\n')}`
}

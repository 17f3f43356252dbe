// liquidjs.js: renders with liquidjs what it is told to, one JSON command a line on
// standard input, one JSON answer a line. Argument: the folder that has node_modules.
//
//   {"do": "load", "kind": K, "template": TEXT, "contexts": [...]}   -> {}
//   {"do": "outputs", "kind": K}                                     -> [text, ...]
//   {"do": "run", "kind": K, "cached": true, "seconds": S}           -> renders done
'use strict'
const { Liquid } = require(require.resolve('liquidjs', { paths: [process.argv[2]] }))
const engine = new Liquid()
const messages = new Map()
let fresh = 0

function render (message, context, cached) {
  return cached
    ? engine.renderSync(message.parsed, context)
    : engine.parseAndRenderSync(message.template + ' ' + fresh++, context)
}

const commands = {
  load ({ kind, template, contexts }) {
    messages.set(kind, { template, contexts, parsed: engine.parse(template) })
    return {}
  },
  outputs ({ kind }) {
    const message = messages.get(kind)
    return message.contexts.map(context => render(message, context, true))
  },
  run ({ kind, cached, seconds }) {
    const message = messages.get(kind)
    const until = Date.now() + seconds * 1000
    let renders = 0
    do {
      for (const context of message.contexts) render(message, context, cached)
      renders += message.contexts.length
    } while (Date.now() < until)
    return renders
  }
}

require('readline').createInterface({ input: process.stdin }).on('line', line => {
  const command = JSON.parse(line)
  process.stdout.write(JSON.stringify(commands[command.do](command)) + '\n')
})

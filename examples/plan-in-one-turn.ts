/**
 * Three trips are booked. A booking needs the details of an offer, and those need a search. With references the model
 * plans all nine calls in one turn, and each starts as soon as the one it points at has answered; without, it has to see
 * every answer first. The model is played by a script, over HTTP.
 *
 *     npx tsx examples/plan-in-one-turn.ts
 */
import { createServer } from "node:http"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { Agent, Tool, Toolbox, ToolRunner } from "salvo"
import * as Anthropic from "salvo/anthropic"
import { MessagesServer } from "salvo/testing"

const { reply, text, toolUse } = MessagesServer

const Offers = Schema.Struct({ offers: Schema.NonEmptyArray(Schema.Struct({ id: Schema.String })) })
const Details = Schema.Struct({ room: Schema.String, price: Schema.Number })

class SearchHotels extends Tool.Service<SearchHotels>()("search_hotels", {
  description: "Hotel offers in a city, the best one first",
  input: Schema.Struct({ city: Schema.String }),
  output: Offers,
  effects: "read"
}) {}

class GetDetails extends Tool.Service<GetDetails>()("get_details", {
  description: "Room and price of an offer",
  input: Schema.Struct({ offer: Schema.String }),
  output: Details,
  effects: "read"
}) {}

class BookRoom extends Tool.Service<BookRoom>()("book_room", {
  description: "Books a room at the price that its details say",
  input: Schema.Struct({ room: Schema.String, price: Schema.Number }),
  output: Schema.String,
  effects: "write"
}) {}

const tools = Layer.mergeAll(
  SearchHotels.layer(({ city }) => Effect.delay(Effect.succeed({ offers: [{ id: `${city}-1` }] }), "100 millis")),
  GetDetails.layer(({ offer }) =>
    Effect.delay(Effect.succeed({ room: `${offer}-room-7`, price: 80 + offer.length }), "100 millis")
  ),
  BookRoom.layer(({ price, room }) => Effect.delay(Effect.succeed(`${room} for ${price} EUR`), "100 millis"))
)

const cities = ["Lisbon", "Oslo", "Vienna"] as const

/** All nine calls: what is not known yet is pointed at. */
const plan = reply({
  content: [
    text("I plan everything at once."),
    ...cities.flatMap((city) => [
      toolUse("search_hotels", { $label: `${city}-offers`, city }),
      toolUse("get_details", { $label: city, offer: { $ref: `#${city}-offers/offers/0/id` } }),
      toolUse("book_room", { room: { $ref: `#${city}/room` }, price: { $ref: `#${city}/price` } })
    ])
  ]
})

/** One step: three calls, from what the last three have answered. */
const step = (turn: number, answers: ReadonlyArray<string>) => {
  if (turn === 0) return cities.map((city) => toolUse("search_hotels", { city }))
  return answers.map((answer) =>
    turn === 1
      ? toolUse("get_details", { offer: Schema.decodeSync(Schema.parseJson(Offers))(answer).offers[0].id })
      : toolUse("book_room", Schema.decodeSync(Schema.parseJson(Details))(answer))
  )
}

/** The model: it points at other calls where it was told that it may. */
const script: MessagesServer.Script = ({ body, lastToolResults, turn }) =>
  Effect.sync(() => {
    const mayPoint = JSON.stringify(body["tools"]).includes("$ref")
    const answers = lastToolResults.map((answer) => answer.text)
    if (turn === (mayPoint ? 1 : 3)) {
      const booked = mayPoint ? answers.filter((_, i) => i % 3 === 2) : answers
      return reply({ content: [text(booked.map((booking) => `  booked ${booking}`).join("\n"))] })
    }
    return mayPoint ? plan : reply({ content: step(turn, answers) })
  })

const Model = Layer.unwrapEffect(
  Effect.map(MessagesServer.MessagesServer, ({ url }) =>
    Anthropic.layer({ apiKey: Redacted.make("embedded"), baseURL: url })
  )
).pipe(
  Layer.provide(MessagesServer.layer(script)),
  Layer.provide(NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1" }))
)

const toolbox = Toolbox.make(SearchHotels, GetDetails, BookRoom)

const book = (name: string, toolbox: Toolbox.Toolbox<typeof SearchHotels | typeof GetDetails | typeof BookRoom>) =>
  Effect.gen(function* () {
    const prompt = `Book me the best hotel in each of these cities: ${cities.join(", ")}.`
    const { answer, exchanges } = yield* Agent.run({ prompt, toolbox })
    const batches = exchanges.flatMap(({ batch }) => (batch === undefined ? [] : [batch]))
    const calls = batches.flatMap(({ results }) => results)
    const succeeded = calls.filter(({ _tag }) => _tag === "Success").length
    const turns = `${batches.length} ${batches.length === 1 ? "turn" : "turns"} with calls`
    yield* Console.log(`${name}: ${turns}, ${succeeded} of ${calls.length} calls succeeded`)
    yield* Console.log(answer)
  })

const main = Effect.gen(function* () {
  yield* book("with references", Toolbox.withReferences(toolbox))
  yield* book("without", toolbox)
})

NodeRuntime.runMain(Effect.provide(main, Layer.mergeAll(Model, tools, ToolRunner.layer)))

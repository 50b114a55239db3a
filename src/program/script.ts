/**
 * What the embedded model says. It sees nothing but the conversation, and reacts to results and errors the way a
 * model with the guidance would: both ways of running tools are played the same script.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as MessagesServer from "../testing/MessagesServer.ts"

export const prompt =
  "Order 1007 (tracking number NX482910077DE, 129.90 USD) has not arrived. Find out what happened, archive a report, " +
  "refund the customer if our policy says so, and tell me the refund in euros."

export const system = "You are a support agent. Be brief and exact."

interface Answered {
  readonly name: string
  readonly isError: boolean
  readonly text: string
}

const { text, toolUse } = MessagesServer

/** The answers of the conversation by the tool they came from; the last one counts. */
const answersOf = (request: MessagesServer.AcceptedRequest): ReadonlyMap<string, Answered> => {
  const names = new Map<string, string>()
  const answers = new Map<string, Answered>()
  for (const { content } of request.messages) {
    for (const block of content) {
      if (block["type"] === "tool_use") names.set(String(block["id"]), String(block["name"]))
      if (block["type"] === "tool_result") {
        const name = names.get(String(block["tool_use_id"])) ?? ""
        const body = typeof block["content"] === "string" ? block["content"] : JSON.stringify(block["content"])
        answers.set(name, { name, isError: block["is_error"] === true, text: body })
      }
    }
  }
  return answers
}

const json = (answer: Answered | undefined): Option.Option<unknown> =>
  answer === undefined || answer.isError
    ? Option.none()
    : Either.getRight(
        // A fallback's answer stands on the line after its mark.
        Either.try(() => JSON.parse(answer.text.slice(answer.text.lastIndexOf("\n") + 1)) as unknown)
      )

const read = <A, I>(schema: Schema.Schema<A, I>, answer: Answered | undefined): Option.Option<A> =>
  Option.flatMap(json(answer), Schema.decodeUnknownOption(schema))

const firstTurn = MessagesServer.reply({
  content: [
    text("I look at everything at once."),
    toolUse("look_up_order", { order: "1007" }),
    toolUse("search_policies", { query: "refund lost parcel" }),
    toolUse("track_parcel", { tracking_number: "NX482910077DE" }),
    toolUse("exchange_rate", { from: "USD", to: "EUR" }),
    toolUse("render_report", { order: "1007" })
  ]
})

const Refunds = Schema.Array(Schema.Struct({ amount: Schema.Number }))

const conclusion = (answers: ReadonlyMap<string, Answered>): string => {
  const parcel = read(Schema.Struct({ status: Schema.String }), answers.get("track_parcel"))
  const rate = read(Schema.Struct({ rate: Schema.Number }), answers.get("exchange_rate"))
  const refunds: Option.Option<ReadonlyArray<{ readonly amount: number }>> = read(
    Refunds,
    answers.get("list_refunds")
  ).pipe(
    Option.orElse(() =>
      Option.map(read(Schema.Struct({ amount: Schema.Number }), answers.get("refund_order")), (refund) => [refund])
    )
  )
  const amount = Option.map(refunds, (all) => all.reduce((sum, refund) => sum + refund.amount, 0))
  const stale = answers.get("exchange_rate")?.text.startsWith("[Fallback") === true ? " at the last known rate" : ""
  return [
    Option.match(parcel, {
      onNone: () => "I could not find out where the parcel is.",
      onSome: ({ status }) => `The carrier reports the parcel as ${status}.`
    }),
    Option.match(amount, {
      onNone: () => "I could not confirm a refund.",
      onSome: (usd) =>
        `Refunds on record: ${usd.toFixed(2)} USD` +
        Option.match(rate, {
          onNone: () => ", in euros unknown.",
          onSome: (known) => `, about ${(usd * known.rate).toFixed(2)} EUR${stale}.`
        })
    }),
    answers.get("render_report")?.isError === true ? "The report could not be archived." : "The report is archived."
  ].join(" ")
}

export const script: MessagesServer.Script = (request) =>
  Effect.sync(() => {
    const answers = answersOf(request)
    if (!answers.has("look_up_order")) return firstTurn
    const refund = answers.get("refund_order")
    if (refund === undefined) {
      const order = read(Schema.Struct({ total: Schema.Number }), answers.get("look_up_order"))
      const amount = Option.match(order, { onNone: () => 129.9, onSome: ({ total }) => total })
      return MessagesServer.reply({
        content: [text("The policy allows a refund."), toolUse("refund_order", { order: "1007", amount })]
      })
    }
    if (refund.isError && !answers.has("list_refunds")) {
      return MessagesServer.reply({
        content: [text("I check whether it went through."), toolUse("list_refunds", { order: "1007" })]
      })
    }
    return MessagesServer.reply({ content: [text(conclusion(answers))] })
  })

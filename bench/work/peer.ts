/** What a peer is: one way of running the tool calls that a model asks for, until it asks for no more. */

/** What every tool takes; its JSON text is what the model writes. */
export interface Input {
  readonly city: string
  readonly country: string
  readonly days: number
  readonly units: "metric" | "imperial"
  readonly detailed: boolean
}

/** What every tool answers, if all is well. */
export interface Output {
  readonly city: string
  readonly celsius: number
}

/** A tool as its author writes it: an async function that may watch a signal. */
export interface Tool {
  readonly name: string
  readonly run: (input: Input, signal: AbortSignal | undefined) => Promise<unknown>
}

/** Whether a tool looks at its signal. One that does not need not be given any. */
export const watches = ({ run }: Tool): boolean => run.length > 1

/** A call as the model writes it. */
export interface Call {
  readonly id: string
  readonly name: string
  /** JSON text. */
  readonly input: string
}

/** What the model reads of a call. */
export interface Answer {
  readonly id: string
  readonly text: string
  /** Whether it is marked as an error, where the peer's format has such a mark. */
  readonly isError: boolean
}

/** A stub of a model: reads the answers to its last calls, if it wants to, and says what it calls next. */
export type Model = (read: () => ReadonlyArray<Answer>) => ReadonlyArray<Call>

/** Runs a turn: asks the model, runs its calls, tells it the results, and so on until it calls nothing. */
export type Turn = (model: Model, signal?: AbortSignal) => Promise<void>

export interface Options {
  /** The deadline of an execution of a tool, where the peer has such a thing. */
  readonly toolMillis: number
  /** Whether tools go wrong: then the peer is given whatever it has against that. */
  readonly expectsFaults: boolean
}

export interface Peer {
  /** What runs calls, or what also asks a model and keeps the conversation. */
  readonly kind: "library" | "turn"
  /** Whether a tool that hangs is given up. Where not, the application has to give up the turn. */
  readonly hasDeadline: boolean
  /** Made once for many turns. */
  readonly agent: (tools: ReadonlyArray<Tool>, options: Options) => Promise<Turn>
}

/** Of the Messages API. */
export interface ResultBlock {
  readonly type: "tool_result"
  readonly tool_use_id: string
  readonly content: string | undefined
  readonly is_error?: boolean
}

const answer = ({ content, is_error, tool_use_id }: ResultBlock): Answer => ({
  id: tool_use_id,
  text: content ?? "",
  isError: is_error === true
})

/** The loop around a library that runs a batch of calls. */
export const loop =
  (
    runBatch: (calls: ReadonlyArray<Call>, signal: AbortSignal | undefined) => Promise<ReadonlyArray<ResultBlock>>
  ): Turn =>
  async (model, signal) => {
    let blocks: ReadonlyArray<ResultBlock> = []
    for (let calls = model(() => []); calls.length > 0; calls = model(() => blocks.map(answer))) {
      blocks = await runBatch(calls, signal)
    }
  }

/** The text of an output for the model: a string as it is, anything else as JSON. */
export const outputText = (output: unknown): string =>
  // Of `undefined` there is no JSON; what then becomes of the call is the peer's affair.
  typeof output === "string" ? output : (JSON.stringify(output) as string)

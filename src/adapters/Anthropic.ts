/**
 * `salvo/anthropic`: the agent's model through Anthropic's own client.
 *
 * The client's stream helpers give up a whole message for one malformed input, wait for ever on a stalled stream, and
 * end a cut one without a word. So its raw events are put together here: a bad input stays with its own call, silence
 * has a limit, and a turn without `message_stop` is an error.
 *
 * @since 0.1.0
 */
import Anthropic, { APIConnectionError, APIError } from "@anthropic-ai/sdk"
import type { Tool as AnthropicTool, ToolResultBlockParam } from "@anthropic-ai/sdk/resources/messages/messages"
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import type { BatchResult } from "../BatchResult.ts"
import * as Fault from "../Fault.ts"
import * as Assemble from "../internal/assemble.ts"
import { withoutSecrets } from "../internal/text.ts"
import * as Report from "../Report.ts"
import * as Model from "../services/Model.ts"
import * as Toolbox from "../Toolbox.ts"

/**
 * Cheap, and good at parallel tool use.
 *
 * @since 0.1.0
 * @category constants
 */
export const defaultModel = "claude-haiku-5-5"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly apiKey: Redacted.Redacted
  /** Default: `claude-haiku-5-5`. */
  readonly model?: string | undefined
  readonly baseURL?: string | undefined
  /** How long the stream may be silent, its start included. Default: 60 seconds. */
  readonly idleTimeout?: Duration.DurationInput | undefined
}

const spendLimits = new Set(["enforced_spend_limit_reached", "contract_spend_limit_reached"])

const reasonOf = (status: number | undefined, type: string | null): Model.ModelError["reason"] => {
  if (type === "overloaded_error" || status === 529) return "overloaded"
  if (type === "rate_limit_error" || status === 429) return "rate_limited"
  if (type === "api_error" || type === "timeout_error" || (status !== undefined && status >= 500)) return "server"
  return "refused"
}

const fromApiError = (error: APIError): Model.ModelError => {
  const headers = Object.fromEntries(error.headers?.entries() ?? [])
  const status = typeof error.status === "number" ? error.status : undefined
  const reason = reasonOf(status, error.type)
  const asked = headers["x-should-retry"]
  const worthIt = reason !== "refused" || status === 408 || status === 409
  const spent = typeof error.errorCode === "string" && spendLimits.has(error.errorCode)
  return new Model.ModelError({
    reason,
    detail: withoutSecrets(error.message),
    status,
    retryable: !spent && (asked === undefined ? worthIt : asked === "true"),
    retryAfter: Option.getOrUndefined(Fault.retryAfterFromHeaders(headers))
  })
}

/** The class of an error does not tell a dead connection: the cause chain does. */
const fromUnknown = (error: unknown): Model.ModelError => {
  if (error instanceof APIError && !(error instanceof APIConnectionError)) {
    return fromApiError(error)
  }
  const isConnection = error instanceof APIConnectionError || Option.isSome(Fault.fromNetwork(error))
  return new Model.ModelError({
    reason: isConnection ? "connection" : "unknown",
    detail: withoutSecrets(error instanceof Error ? error.message : String(error)),
    status: undefined,
    retryable: isConnection,
    retryAfter: undefined
  })
}

const idle = (limit: Duration.DurationInput) =>
  new Model.ModelError({
    reason: "idle",
    detail: `no word for ${Duration.format(limit)}`,
    status: undefined,
    retryable: true,
    retryAfter: undefined
  })

// The request is built from Salvo's own, structurally equal shapes; the client sends it as JSON.
type Body = Anthropic.MessageCreateParamsStreaming

const toBody = (request: Model.TurnRequest, model: string): Body =>
  ({
    model,
    max_tokens: request.maxTokens,
    messages: request.messages,
    ...(request.tools.length === 0 ? {} : { tools: request.tools }),
    ...(request.system === undefined ? {} : { system: request.system }),
    stream: true
  }) as unknown as Body

/** The client's `return` waits for the read in progress, which on a stalled stream is for ever. The abort closes it. */
const withoutReturn = <A>(events: AsyncIterable<A>): AsyncIterable<A> => ({
  [Symbol.asyncIterator]: () => {
    const iterator = events[Symbol.asyncIterator]()
    return { next: () => iterator.next() }
  }
})

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Model.Model["Type"] => {
  const client = new Anthropic({
    apiKey: Redacted.value(options.apiKey),
    // Set even when missing, so that nothing is read from the environment behind the Config's back.
    baseURL: options.baseURL ?? "https://api.anthropic.com",
    // Waits and retries are the caller's: the client's own obey any Retry-After and no deadline.
    maxRetries: 0
  })
  const model = options.model ?? defaultModel
  const limit = options.idleTimeout ?? "60 seconds"

  const events = (request: Model.TurnRequest) =>
    Stream.unwrapScoped(
      Effect.gen(function* () {
        const controller = yield* Effect.acquireRelease(
          Effect.sync(() => new AbortController()),
          (open) => Effect.sync(() => open.abort())
        )
        const opened = yield* Effect.tryPromise({
          try: () => client.messages.create(toBody(request, model), { signal: controller.signal }),
          catch: fromUnknown
        }).pipe(Effect.timeoutFail({ duration: limit, onTimeout: () => idle(limit) }))
        return Stream.fromAsyncIterable(withoutReturn(opened), fromUnknown)
      })
    )

  return {
    provider: "anthropic",
    model,
    streamTurn: (request) =>
      events(request).pipe(
        Stream.timeoutFail(() => idle(limit), limit),
        Stream.mapAccum(Assemble.empty, (state, event) => Assemble.step(state, event)),
        Stream.flattenIterables
      )
  }
}

/**
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<Model.Model> => Layer.sync(Model.Model, () => make(options))

/**
 * Reads `ANTHROPIC_API_KEY`, and where they are set `ANTHROPIC_MODEL` and `ANTHROPIC_BASE_URL`, from the `Config`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (options?: Omit<Options, "apiKey">): Layer.Layer<Model.Model, ConfigError.ConfigError> =>
  Layer.unwrapEffect(
    Effect.map(
      Config.all({
        apiKey: Config.redacted(Config.nonEmptyString("ANTHROPIC_API_KEY")),
        model: Config.option(Config.string("ANTHROPIC_MODEL")),
        baseURL: Config.option(Config.string("ANTHROPIC_BASE_URL"))
      }),
      ({ apiKey, baseURL, model }) =>
        layer({
          ...options,
          apiKey,
          model: options?.model ?? Option.getOrUndefined(model),
          baseURL: options?.baseURL ?? Option.getOrUndefined(baseURL)
        })
    )
  )

/**
 * `Report.toolResults` in the client's own type, for those who run the loop themselves.
 *
 * @since 0.1.0
 * @category rendering
 */
export const toolResults = (batch: BatchResult): Array<ToolResultBlockParam> =>
  // The report passes on only blocks whose shape it has checked against the API's.
  Report.toolResults(batch) as unknown as Array<ToolResultBlockParam>

/**
 * The tools of a request in the client's own type.
 *
 * @since 0.1.0
 * @category rendering
 */
export const tools = (toolbox: Toolbox.Toolbox): Array<AnthropicTool> => Toolbox.describe(toolbox)

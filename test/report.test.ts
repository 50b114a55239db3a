import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { BatchResult, Fault, Report, Tool, Toolbox, ToolError, type ToolResult, ToolRunner } from "../src/index.ts"
import * as Failed from "../src/internal/failed.ts"
import { MessagesRules } from "../src/testing/index.ts"

const options = { description: "x", input: Schema.Struct({}), output: Schema.Unknown } as const
class Read extends Tool.Service<Read>()("look", { ...options, effects: "read" }) {}
class Idempotent extends Tool.Service<Idempotent>()("put", { ...options, effects: "idempotent" }) {}
class Write extends Tool.Service<Write>()("send", { ...options, effects: "write" }) {}
const toolbox: Toolbox.Toolbox = Toolbox.make(Read, Idempotent, Write)

const call = (name: string, id = `toolu_${name}`) => ({ id, name, input: {} })
const common = { attempts: 1, duration: Duration.millis(5) }

const success = (encoded: unknown, name = "look"): ToolResult.Success => ({
  _tag: "Success",
  call: call(name),
  output: encoded,
  encoded,
  source: "executed",
  ...common
})

const failure = (error: ToolError.CallError, name = "look"): ToolResult.Failure => ({
  _tag: "Failure",
  call: call(name),
  ...Failed.of(error, toolbox.byName.get(name)?.definition),
  ...common
})

const failed = (failure: unknown, fault: Fault.Fault = Fault.transient(), name = "look"): ToolResult.Failure => ({
  _tag: "Failure",
  call: call(name),
  error: ToolError.toolFailure(failure),
  fault,
  ...common
})

const content = (result: ToolResult.ToolResult, box: Toolbox.Toolbox = toolbox) =>
  Report.toolResult(result, box).content

const text = (result: ToolResult.ToolResult, box: Toolbox.Toolbox = toolbox): string => {
  const shown = content(result, box)
  assert(typeof shown === "string")
  return shown
}

const bytes = (text: string) => new TextEncoder().encode(text).length

/** What the real API would say to a conversation in which these results answer their calls. */
const refusal = (results: ReadonlyArray<ToolResult.ToolResult>, box: Toolbox.Toolbox = toolbox) =>
  MessagesRules.check({
    model: "claude-haiku-5-5",
    max_tokens: 1024,
    tools: Toolbox.describe(toolbox),
    messages: [
      { role: "user", content: "hi" },
      {
        role: "assistant",
        content: results.map(({ call }) => ({ type: "tool_use", id: call.id, name: call.name, input: {} }))
      },
      { role: "user", content: Report.toolResults(BatchResult.make("b", box, results, Duration.zero)) }
    ]
  })

const assertAccepted = (result: ToolResult.ToolResult, box?: Toolbox.Toolbox) =>
  assert.strictEqual(refusal([result], box)?.message, undefined)

const secret = "s3cretS3cretS3cret"

interface Words {
  readonly happened: RegExp
  /** What to do next, or what to know before: for a read, something idempotent, a write. */
  readonly next: RegExp | Record<Tool.Effects, RegExp>
}

const told: ReadonlyArray<readonly [ToolError.CallError, Words]> = [
  [
    new ToolError.UnknownTool({ name: "loook", nearest: ["look", "book"] }),
    { happened: /^Not executed: there is no tool named "loook"/, next: /Did you mean "look" or "book"\?/ }
  ],
  [
    new ToolError.UnknownTool({ name: "zzz", nearest: [] }),
    { happened: /^Not executed/, next: /Use only the tools you were given/ }
  ],
  [
    new ToolError.MalformedInput({ reason: "Unexpected token o", truncated: false }),
    { happened: /^Not executed: the input is not valid JSON/, next: /Call the tool again with valid JSON/ }
  ],
  [
    new ToolError.MalformedInput({ reason: "Unexpected end", truncated: true }),
    { happened: /^Not executed: the input ends in the middle/, next: /again with the complete input/ }
  ],
  [
    new ToolError.InvalidInput({ issues: [{ path: ["a", 0], message: "Expected string, actual 5" }] }),
    { happened: /^Not executed.*\n- a\.0: Expected string, actual 5\n/s, next: /Correct the input and call/ }
  ],
  [
    new ToolError.UnresolvedReference({ reference: "x", reason: "no call of this turn has that id" }),
    { happened: /^Not executed: "x" cannot be resolved/, next: /Name exactly one other call/ }
  ],
  [
    new ToolError.DependencyCycle({ cycle: ["a", "b"] }),
    { happened: /^Not executed: .*a -> b -> a/, next: /Break the circle and call again/ }
  ],
  [
    new ToolError.ToolDefect({ correlationId: "e-77", name: "TypeError", code: "EACCES", detail: secret }),
    {
      happened: /^Failed: .*internal error \(EACCES\)/,
      next: {
        read: /same call is unlikely to succeed.*support: e-77/,
        idempotent: /calling it again with the same input is safe.*e-77/,
        write: /find out before you call it again.*e-77/
      }
    }
  ],
  [
    new ToolError.InvalidOutput({ correlationId: "e-78", issues: [{ path: [], message: secret }] }),
    {
      happened: /^Failed: the tool ran, but its answer was unusable/,
      next: {
        read: /same call is unlikely to succeed.*support: e-78/,
        idempotent: /do not call it again/,
        write: /It did take effect: do not call it/
      }
    }
  ],
  [
    new ToolError.Timeout({ kind: "attempt", after: Duration.millis(1500) }),
    {
      happened: /^Timed out: no answer within 2 seconds/,
      next: {
        read: /The same call may succeed later/,
        idempotent: /again with the same input is safe/,
        write: /find out before you call it again/
      }
    }
  ],
  [
    new ToolError.CircuitOpen({ breaker: "b", mode: "Open", lastFailure: undefined, retryAfter: Duration.seconds(9) }),
    { happened: /^Not executed: the service behind this tool has been failing/, next: /Retry after 9 seconds/ }
  ],
  [
    new ToolError.CircuitOpen({ breaker: "b", mode: "Open", lastFailure: undefined, retryAfter: undefined }),
    { happened: /^Not executed/, next: /Go on without it, or call it again later/ }
  ],
  [
    new ToolError.BulkheadFull({ capacity: 3 }),
    { happened: /^Not executed: the tool was busy/, next: /Call it again later/ }
  ],
  [
    new ToolError.RateLimited({ retryAfter: Duration.millis(250) }),
    { happened: /^Not executed: the tool's rate limit/, next: /Retry after 250 milliseconds/ }
  ],
  [
    new ToolError.BudgetExhausted({ budget: "b" }),
    { happened: /^Not executed: the budget for this tool is spent/, next: /Go on without it/ }
  ],
  [
    new ToolError.DependencyFailed({ dependency: "toolu_1", root: "toolu_0" }),
    {
      happened: /^Not executed: it depends on toolu_1.*because toolu_0 failed/,
      next: /had no effect. Call it again once that has succeeded/
    }
  ],
  [
    new ToolError.NotStarted({ reason: "deadline" }),
    { happened: /^Not executed: .*no time left/, next: /no effect. Call it again only if/ }
  ],
  [
    new ToolError.NotStarted({ reason: "interrupted" }),
    { happened: /^Not executed: .*interrupted/, next: /no effect. Call it again only if/ }
  ],
  [
    new ToolError.OutcomeUnknown(),
    {
      happened: /interrupted while it was running/i,
      next: {
        read: /nothing was changed. Call it again/,
        idempotent: /^Outcome unknown.*same input is safe/,
        write: /^Outcome unknown.*find out before you call it again/
      }
    }
  ]
]

const tools = [Read, Idempotent, Write]

describe("what a model is told of a call that did not succeed: what happened, and what to do next", () => {
  for (const [error, { happened, next }] of told) {
    for (const { definition } of tools) {
      it(`${error._tag} of a tool of kind ${definition.effects}: ${happened.source}`, () => {
        const result = failure(error, definition.name)
        const said = text(result)
        assert.match(said, happened)
        assert.match(said, next instanceof RegExp ? next : next[definition.effects])
        assert.notInclude(said, secret)
        assert.strictEqual(Report.toolResult(result, toolbox).is_error, true)
        assertAccepted(result)
      })
    }
  }

  const faults: ReadonlyArray<readonly [string, Fault.Fault, Tool.Tool, RegExp]> = [
    ["a transient one of a read", Fault.transient(), Read, /The same call may succeed later/],
    ["the model's fault", Fault.model(), Write, /did not take effect. Change the input before you call it again/],
    ["a permanent one", Fault.permanent(), Read, /The same call is unlikely to succeed/],
    ["a transient one of a write", Fault.transient(), Write, /may have taken effect: find out before/],
    ["a transient one of an idempotent tool", Fault.transient(), Idempotent, /same input is safe/],
    ["one that took no effect", Fault.transient({ tookEffect: "no" }), Write, /did not take effect/],
    ["one that took effect", Fault.transient({ tookEffect: "yes" }), Write, /did take effect: do not call it again/],
    ["one that names when to come back", Fault.transient({ retryAfter: "3 seconds" }), Read, /Retry after 3 seconds/]
  ]
  for (const [name, fault, tool, words] of faults) {
    it(`the tool's own failure, ${name}`, () => {
      const result = failed({ _tag: "Down", host: "a" }, fault, tool.definition.name)
      assert.match(text(result), /^Failed: Down \(host: "a"\)\. /)
      assert.match(text(result), words)
      assertAccepted(result)
    })
  }

  it("says how often it was tried", () => {
    assert.match(text({ ...failed("down"), attempts: 3 }), /tried 3 times/)
    assert.match(
      text({ ...failure(new ToolError.Timeout({ kind: "total", after: Duration.seconds(1) })), attempts: 2 }),
      /tried 2 times/
    )
  })

  it("lists ten issues and counts the rest", () => {
    const issues = Array.from({ length: 13 }, (_, i) => ({ path: [`field${i}`], message: "is missing" }))
    const said = text(failure(new ToolError.InvalidInput({ issues })))
    assert.include(said, "- field9: is missing\n- and 3 more\n")
    assert.notInclude(said, "field10")
  })

  it("names an input field that is called like a secret, and what it takes", () => {
    const issues = ["password", "max_tokens", "api_key"].map((key) => ({ path: [key], message: "Expected string" }))
    const said = text(failure(new ToolError.InvalidInput({ issues })))
    for (const { path } of issues) assert.include(said, `- ${path.join(".")}: Expected string\n`)
  })

  it("shows a failure's plain fields, and neither causes nor stacks", () => {
    class Odd extends Schema.TaggedError<Odd>()("Odd", { order: Schema.String, tries: Schema.Number }) {
      override get message() {
        return "It broke"
      }
    }
    const said = text(failed(Object.assign(new Odd({ order: "A1", tries: 2 }), { cause: new Error("inner") })))
    assert.match(said, /^Failed: Odd: It broke \(order: "A1", tries: 2\)\./)
    for (const [value, shown] of [
      ["down", /^Failed: "down"\./],
      [undefined, /^Failed: Failure\./],
      [null, /^Failed: Failure\./],
      [7, /^Failed: 7\./],
      [{}, /^Failed: Failure\./]
    ] as const) {
      assert.match(text(failed(value)), shown)
    }
  })

  it("uses the tool's own words, and does without them where they throw", () => {
    const describing = (describe: (failure: unknown) => string) => {
      class Own extends Tool.Service<Own>()("look", {
        ...options,
        effects: "read",
        failure: Schema.Unknown,
        describe
      }) {}
      return text(failed("down"), Toolbox.make(Own))
    }
    assert.match(
      describing(() => "The archive is closed on Sundays"),
      /^Failed: The archive is closed on Sundays\./
    )
    assert.match(
      describing(() => {
        throw new Error(secret)
      }),
      /^Failed: Failure\./
    )
  })
})

describe("secrets", () => {
  const leaks: ReadonlyArray<readonly [string, string]> = [
    ["a password in a URL", `connect postgres://admin:${secret}@10.0.0.4/db`],
    ["a password with an @ in a URL", `connect postgres://admin:p@${secret}@10.0.0.4/db`],
    ["a Bearer token", `Authorization: Bearer ${secret}`],
    ["Basic credentials", `authorization: basic ${secret}==`],
    ["an API key", `bad key sk-ant-api03-${secret}`],
    ["a GitHub token", `bad ghp_${secret}`],
    ["an AWS key", `bad AKIA${secret}`],
    ["a JWT", `bad eyJhbGciOiJIUzI1NiJ9.${secret}.${secret}`],
    ["password=", `login failed (user=a password=${secret})`],
    ["a quoted password", `login failed {"user": "a", "password": "${secret} ${secret}"}`],
    ["a quoted password with a quote in it", `{"password": "a\\"${secret}"}`],
    ["client_secret:", `client_secret: ${secret}`],
    ["a private key", `-----BEGIN RSA PRIVATE KEY-----\n${secret}\n-----END RSA PRIVATE KEY-----`],
    ["a private key cut off", `-----BEGIN PRIVATE KEY-----\n${secret}`]
  ]
  for (const [name, leak] of leaks) {
    it(`${name} is not shown, wherever it stands in a failure`, () => {
      for (const value of [leak, { _tag: "Down", why: leak }, new Error(leak), { body: JSON.stringify({ leak }) }]) {
        const said = text(failed(value))
        assert.notInclude(said, secret)
        assert.include(said, "[hidden]")
      }
      for (const error of [
        new ToolError.MalformedInput({ reason: leak, truncated: false }),
        new ToolError.InvalidInput({ issues: [{ path: ["a"], message: leak }] })
      ]) {
        assert.notInclude(text(failure(error)), secret)
      }
    })
  }

  it("a field whose name says so is not shown", () => {
    for (const key of ["password", "apiKey", "access_token", "Authorization", "sessionCookie", "credentials"]) {
      const said = text(failed({ _tag: "Down", [key]: "abc" }))
      assert.include(said, `${key}: [hidden]`)
      assert.notInclude(said, "abc")
    }
  })

  it("words that only look a little like one stay", () => {
    for (const words of [
      "skipped_because_of_rain",
      "pkgconfig_not_installed",
      "https://a.example/b?c=d",
      "ghostwriter_of_x"
    ]) {
      assert.include(text(failed(words)), words)
    }
  })
})

describe("what a model is shown of an answer", () => {
  it("a string as it is, anything else as JSON, and nothing as words; never is_error", () => {
    for (const [encoded, shown] of [
      ['say "hi"\n', 'say "hi"\n'],
      [{ a: [1, null] }, '{"a":[1,null]}'],
      [0, "0"],
      [false, "false"],
      [null, "null"],
      ["", "(no output)"],
      [" \n\t", "(no output)"],
      [undefined, "(no output)"]
    ] as const) {
      const block = Report.toolResult(success(encoded), toolbox)
      assert.deepStrictEqual(block, { type: "tool_result", tool_use_id: "toolu_look", content: shown })
      assertAccepted(success(encoded))
    }
  })

  it("lone surrogates are replaced, in values, in keys and in blocks", () => {
    for (const encoded of [
      "a\uD800b",
      { "k\uDC00": "v\uD800" },
      Tool.content(Tool.text("\uD800x"), {
        type: "search_result",
        source: "\uDC00",
        title: "t",
        content: [Tool.text("\uD83D")]
      }),
      Tool.content({ type: "odd\uD800" })
    ]) {
      assertAccepted(success(encoded))
    }
    assert.strictEqual(text(success("a\uD800b😀")), "a\uFFFDb😀")
    assertAccepted(failed({ _tag: "\uD800", why: "\uDC00" }))
  })

  it("a toolset's name is echoed", () => {
    const result = { ...success("x"), call: { ...call("look"), toolset_name: "browser" } }
    assert.strictEqual(Report.toolResult(result, toolbox).toolset_name, "browser")
  })

  it("a fallback says what it stands in for", () => {
    const replaces = new ToolError.Timeout({ kind: "attempt", after: Duration.seconds(1) })
    const fallback = { ...success({ rate: 1 }), source: "fallback", replaces } as const
    assert.match(text(fallback), /^\[Fallback: .*Timed out: no answer within 1 seconds\..*\]\n\{"rate":1\}$/)
    const rich = content({ ...fallback, encoded: Tool.content(Tool.text("old")) })
    assert(Array.isArray(rich) && rich.length === 2)
    assert.deepStrictEqual(rich[1], { type: "text", text: "old" })
    assertAccepted(fallback)
  })
})

describe("how much of an answer is shown", () => {
  const withBudget = (maxOutputBytes: number) => Toolbox.withPolicy(toolbox, { maxOutputBytes })
  const note = /\n\[… (\d+) characters left out: the answer was over \d+ bytes …\]\n/

  it("what fits is whole, to the byte", () => {
    for (const whole of ["x".repeat(30), "é".repeat(15), "€".repeat(10), "😀".repeat(7)]) {
      assert.strictEqual(text(success(whole), withBudget(30)), whole)
      assert.match(text(success(`${whole}xxx`), withBudget(30)), note)
    }
  })

  it("of a long answer the head and the tail are kept, and what is left out is counted", () => {
    const long = `BEGIN${"x".repeat(1000)}END`
    const shown = text(success(long), withBudget(99))
    assert.match(shown, /^BEGINx{61}\n\[… 909 characters left out: the answer was over 99 bytes …\]\nx{30}END$/)
  })

  it("characters are never cut in half, and the budget is kept, for any text and budget", () => {
    const unit = FastCheck.constantFrom("a", "é", "€", "😀", "👩‍👩‍👧", "\n", "\u0000")
    FastCheck.assert(
      FastCheck.property(
        FastCheck.string({ unit, maxLength: 300 }),
        FastCheck.integer({ min: 1, max: 300 }),
        (whole, budget) => {
          const shown = text(success(`.${whole}.`), withBudget(budget))
          const [head = "", left, tail = ""] = shown.split(note)
          assert.isTrue(shown.isWellFormed() && !shown.includes("\uFFFD"))
          if (left === undefined) return assert.strictEqual(shown, `.${whole}.`)
          assert.isAtMost(bytes(head) + bytes(tail), budget)
          assert.isTrue(`.${whole}.`.startsWith(head) && `.${whole}.`.endsWith(tail))
          assert.strictEqual(head.length + tail.length + Number(left), whole.length + 2)
        }
      )
    )
  })

  it("surrogate pairs at the cut stay whole", () => {
    for (let budget = 3; budget < 40; budget++) {
      for (const lead of ["", "a", "ab", "abc"]) {
        const shown = text(success(`${lead}${"😀".repeat(40)}${lead}`), withBudget(budget))
        assert.isTrue(shown.isWellFormed() && !shown.includes("\uFFFD"))
      }
    }
  })

  it("all text blocks of an answer share it, in bytes", () => {
    const blocks = content(
      success(Tool.content(...Array.from({ length: 20 }, () => Tool.text("€".repeat(100))))),
      withBudget(900)
    )
    assert(Array.isArray(blocks))
    const texts = blocks.map((block) => (block.type === "text" ? block.text : ""))
    assert.deepStrictEqual(
      texts.filter((text) => !note.test(text)),
      Array.from({ length: 3 }, () => "€".repeat(100))
    )
  })

  it("the tool's own budget comes before the toolbox's", () => {
    class Small extends Tool.Service<Small>()("look", {
      ...options,
      effects: "read",
      policy: { maxOutputBytes: 10 }
    }) {}
    const box = Toolbox.withPolicy(Toolbox.make(Small), { maxOutputBytes: 1000 })
    assert.match(text(success("x".repeat(500)), box), note)
    assert.notMatch(text(success("x".repeat(500)), withBudget(1000)), note)
  })

  it.effect("the runner's budget holds where tool and toolbox say nothing", () =>
    Effect.gen(function* () {
      const batch = yield* ToolRunner.run(Toolbox.make(Read), [call("look")])
      assert.match(String(Report.toolResults(batch)[0]?.content), note)
    }).pipe(
      Effect.provide(
        Layer.merge(
          Read.layer(() => Effect.succeed("x".repeat(500))),
          ToolRunner.layerWith({ policy: { maxOutputBytes: 100 } })
        )
      )
    )
  )
})

describe("rich answers", () => {
  const image = Tool.image({ mediaType: "image/png", base64: "iVBORw0KGgo=" })
  const document = { type: "document", source: { type: "text", media_type: "text/plain", data: "d" }, title: "t" }
  const found = { type: "search_result", source: "https://x.example", title: "t", content: [Tool.text("f")] }

  it("text, images, documents and search results are passed on as they are", () => {
    const result = success(Tool.content(Tool.text("see"), image, document, found))
    assert.deepStrictEqual<unknown>(content(result), [{ type: "text", text: "see" }, image, document, found])
    assert.isUndefined(Report.toolResult(result, toolbox).is_error)
    assertAccepted(result)
  })

  it("what the model's interface does not take becomes a note, since the tool did succeed", () => {
    for (const block of [
      { type: "audio", data: "AAAA", mimeType: "audio/wav" },
      { type: "resource_link", uri: "file:///x", name: "x" },
      { type: "image", data: "AAAA", mimeType: "image/png" },
      Tool.image({ mediaType: "image/tiff", base64: "AAAA" }),
      Tool.image({ mediaType: "image/png", base64: "" }),
      { type: "document" },
      { type: "search_result", source: "x" },
      { type: "" }
    ]) {
      const result = success(Tool.content(Tool.text("before"), block))
      const blocks = content(result)
      assert(Array.isArray(blocks) && blocks.length === 2)
      assert(blocks[1]?.type === "text")
      assert.match(blocks[1].text, /cannot be shown here/)
      assert.include(blocks[1].text, JSON.stringify(block.type))
      assert.isUndefined(Report.toolResult(result, toolbox).is_error)
      assertAccepted(result)
    }
  })

  it("empty text is dropped, and where nothing is left that is said", () => {
    const kept = [{ type: "text", text: "a" }, image]
    assert.deepStrictEqual<unknown>(
      content(success(Tool.content(Tool.text(""), Tool.text("a"), image, Tool.text(" ")))),
      kept
    )
    for (const empty of [Tool.content(), Tool.content(Tool.text("")), Tool.content({ type: "text" })]) {
      assert.deepStrictEqual<unknown>(content(success(empty)), [{ type: "text", text: "(no output)" }])
      assertAccepted(success(empty))
    }
  })
})

describe("the answer to a turn", () => {
  it("holds one block per call in call order, and is taken by the API", () => {
    const results = [
      success("x"),
      failed({ _tag: "Down" }, Fault.transient(), "put"),
      success(Tool.content(Tool.text("a")), "send")
    ]
    const blocks = Report.toolResults(BatchResult.make("b", toolbox, results, Duration.zero))
    assert.deepStrictEqual(
      blocks.map((block) => [block.tool_use_id, block.is_error]),
      [
        ["toolu_look", undefined],
        ["toolu_put", true],
        ["toolu_send", undefined]
      ]
    )
    assert.strictEqual(refusal(results)?.message, undefined)
  })

  it("the summary counts calls, executions, and what repeating the whole turn would have cost", () => {
    const summary = (...results: ReadonlyArray<ToolResult.ToolResult>) =>
      BatchResult.make("b", toolbox, results, Duration.zero).summary
    assert.deepStrictEqual(
      summary(
        success("a"),
        { ...success("b"), attempts: 3 },
        { ...failed("c"), attempts: 2 },
        {
          ...failure(new ToolError.NotStarted({ reason: "deadline" })),
          attempts: 0
        }
      ),
      { calls: 4, succeeded: 2, failed: 2, executions: 6, executionsIfAllRetried: 9 }
    )
    assert.deepStrictEqual(summary(), {
      calls: 0,
      succeeded: 0,
      failed: 0,
      executions: 0,
      executionsIfAllRetried: 0
    })
  })

  it("the guidance names the tools that must not be repeated blindly, if there are any", () => {
    const guidance = Report.guidance(toolbox)
    assert.match(guidance, /Call all tools you need that do not depend on each other in one turn/)
    assert.match(guidance, /These tools change something every time they run: send\. Never repeat/)
    assert.match(guidance, /data, not instructions/)
    assert.notMatch(Report.guidance(Toolbox.make(Read, Idempotent)), /change something/)
  })
})

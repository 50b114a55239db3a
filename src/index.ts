/**
 * Salvo runs the parallel tool calls of one LLM turn so that one bad call never costs the others.
 *
 * @since 0.1.0
 */
export * as BatchEvents from "./services/BatchEvents.ts"
export * as CircuitBreaker from "./services/CircuitBreaker.ts"
export * as BatchResult from "./BatchResult.ts"
export * as Content from "./Content.ts"
export * as Fault from "./Fault.ts"
export * as IdempotencyKey from "./IdempotencyKey.ts"
export * as Journal from "./services/Journal.ts"
export * as OutputStore from "./services/OutputStore.ts"
export * as Policy from "./policies/Policy.ts"
export * as RateLimiter from "./services/RateLimiter.ts"
export * as Telemetry from "./services/Telemetry.ts"
export * as Reference from "./Reference.ts"
export * as Report from "./Report.ts"
export * as Tool from "./Tool.ts"
export * as Toolbox from "./Toolbox.ts"
export * as ToolCall from "./ToolCall.ts"
export * as ToolError from "./ToolError.ts"
export * as ToolResult from "./ToolResult.ts"
export * as ToolRunner from "./services/ToolRunner.ts"
export * as Agent from "./services/Agent.ts"
export * as Model from "./services/Model.ts"

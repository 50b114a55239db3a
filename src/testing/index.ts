/**
 * `salvo/testing`: what tests of agents need. Imports no test runner.
 *
 * @since 0.1.0
 */
export * as FaultyJournal from "./FaultyJournal.ts"
export * as FaultyTool from "./FaultyTool.ts"
export * as MessagesRules from "./MessagesRules.ts"
export * as MessagesServer from "./MessagesServer.ts"
export * as ScriptedModel from "./ScriptedModel.ts"

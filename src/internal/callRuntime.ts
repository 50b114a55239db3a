/** The runtime of a batch's own fibers. */
import * as FiberId from "effect/FiberId"
import * as FiberRef from "effect/FiberRef"
import * as FiberRefs from "effect/FiberRefs"
import * as Runtime from "effect/Runtime"
import * as RuntimeFlags from "effect/RuntimeFlags"
import * as CallScheduler from "./callScheduler.ts"

/** Every fiber copies what is there. The first two it is given anew. */
const ofCalls = (given: FiberRefs.FiberRefs): FiberRefs.FiberRefs => {
  const locals = new Map(given.locals)
  locals.delete(FiberRef.currentContext)
  locals.delete(FiberRef.currentRuntimeFlags)
  const scheduler = CallScheduler.make(FiberRefs.getOrDefault(given, FiberRef.currentScheduler))
  locals.set(FiberRef.currentScheduler, [[FiberId.none, scheduler]])
  return FiberRefs.unsafeMake(locals)
}

/** Interruptible even where the batch is not, because deadlines end waits by interruption. */
export const make = (runtime: Runtime.Runtime<never>): Runtime.Runtime<never> =>
  Runtime.enableRuntimeFlag(Runtime.updateFiberRefs(runtime, ofCalls), RuntimeFlags.Interruption)

/** `Promise.allSettled` and zod: what one writes without a library. */
import { serveBatches } from "../held.ts"
import { settled } from "./settled.ts"

serveBatches(async ({ run }) => settled(run))

/** The five fields of a tool's input, for those who validate with zod. */
import { z } from "zod"

export const input = z.object({
  city: z.string().min(1),
  country: z.string().length(2),
  days: z.number().int().min(1).max(14),
  units: z.enum(["metric", "imperial"]),
  detailed: z.boolean()
})

/**
 * `salvo/redis`: state shared by many processes through Redis.
 *
 * @since 0.1.0
 */
export * as Redis from "./Redis.ts"
export * as RedisCircuitBreaker from "./CircuitBreaker.ts"
export * as RedisJournal from "./Journal.ts"
export * as RedisRateLimiter from "./RateLimiter.ts"

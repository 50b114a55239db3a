/**
 * `salvo/redis`: state shared by many processes through Redis.
 *
 * @since 0.1.0
 */
export {}

import DStreamCore
import Testing

@Suite("Retry policies")
struct RetryPolicyTests {
    @Test func waitsGrowUpToTheLongest() {
        let policy = RetryPolicy(
            maxAttempts: 9, initialBackoff: .milliseconds(100), multiplier: 3,
            maxBackoff: .seconds(2))
        let waits = (1...5).map { policy.backoff(afterAttempt: $0) }
        #expect(
            waits == [
                .milliseconds(100), .milliseconds(300), .milliseconds(900), .seconds(2),
                .seconds(2),
            ])
        #expect(policy.backoff(afterAttempt: .max) == .seconds(2))
    }

    @Test func noWaitIsNoWait() {
        let policy = RetryPolicy(initialBackoff: .zero, maxBackoff: .zero, jitter: 1)
        #expect(policy.backoff(afterAttempt: 1) == .zero)
        #expect(RetryPolicy.none.maxAttempts == 1)
    }

    @Test func jitterShortensByItsPartAndIsTheSameForASeed() {
        var policy = RetryPolicy(initialBackoff: .seconds(8), multiplier: 1, jitter: 0.25)
        var seen: Set<Duration> = []
        for seed in 0..<200 as Range<UInt64> {
            let wait = policy.backoff(afterAttempt: 1, seed: seed)
            #expect(wait >= .seconds(6) && wait <= .seconds(8))
            #expect(wait == policy.backoff(afterAttempt: 1, seed: seed))
            seen.insert(wait)
        }
        #expect(seen.count > 150)
        policy.jitter = 0
        #expect(policy.backoff(afterAttempt: 1, seed: 7) == .seconds(8))
    }
}

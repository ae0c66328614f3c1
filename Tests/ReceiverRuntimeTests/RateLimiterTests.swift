import ReceiverRuntime
import Testing

/// The token bucket, driven with times made up.
@Suite struct RateLimiterTests {
    @Test func withoutALimitNothingWaits() {
        var limiter = RateLimiter(now: .zero)
        #expect(!limiter.isLimited && limiter.currentLimit == .max)
        for _ in 0..<3 { #expect(limiter.admit(.max, now: .zero) == nil) }
    }

    @Test func ratesOfZeroOrLessAreNoLimit() {
        let limiter = RateLimiter(
            configuration: .init(maximumRate: 0, initialRate: -1), now: .zero)
        #expect(!limiter.isLimited)
    }

    @Test func aDebtIsPaidByTheNext() {
        var limiter = limiter(rate: 10)
        #expect(limiter.admit(5, now: .zero) == nil)
        #expect(limiter.admit(1, now: .zero) == .milliseconds(500))
        #expect(limiter.admit(1, now: .milliseconds(200)) == .milliseconds(400))
        #expect(limiter.delay(now: .milliseconds(700)) == nil)
    }

    @Test func noMoreThanOneBurstIsKept() {
        var limiter = limiter(rate: 10)
        #expect(limiter.admit(10, now: .seconds(100)) == nil)
        #expect(limiter.delay(now: .seconds(100)) == nil)
        #expect(limiter.admit(10, now: .seconds(100)) == nil)
        #expect(limiter.delay(now: .seconds(100)) == .seconds(1))
    }

    @Test func overAnySpanTheRateIsKept() {
        var limiter = limiter(rate: 1000)
        var (now, admitted) = (Duration.zero, 0)
        while now < .seconds(10) {
            if let delay = limiter.admit(7, now: now) { now += delay }
            admitted += 7
        }
        #expect(admitted <= 10_000 + 1000 + 14 && admitted >= 10_000 - 7)
    }

    @Test func aNewRateAppliesToTheDebt() {
        var limiter = RateLimiter(configuration: .init(initialRate: 1), now: .zero)
        _ = limiter.admit(1000, now: .zero)
        #expect(limiter.delay(now: .zero) == .seconds(1000))
        limiter.updateRate(1000, now: .zero)
        #expect(limiter.delay(now: .zero) == .seconds(1))
    }

    @Test func aLowerRateKeepsASmallerBurst() {
        var limiter = limiter(rate: 1000)
        limiter.updateRate(10, now: .seconds(5))
        #expect(limiter.admit(20, now: .seconds(5)) == nil)
        #expect(limiter.delay(now: .seconds(5)) == .seconds(1))
    }

    @Test func updatesStayBelowTheMaximum() {
        var limiter = RateLimiter(
            configuration: .init(maximumRate: 50, initialRate: 20), now: .zero)
        #expect(limiter.currentLimit == 20)
        limiter.updateRate(30, now: .zero)
        #expect(limiter.currentLimit == 30)
        for rate in [Int64(0), -5, .min] {
            limiter.updateRate(rate, now: .zero)
            #expect(limiter.currentLimit == 30)
        }
        limiter.updateRate(.max, now: .zero)
        #expect(limiter.currentLimit == 50)
    }

    @Test func estimatesAreTruncatedAndNeverTrap() {
        var limiter = RateLimiter(now: .zero)
        for (estimate, limit) in [(29.9, Int64(29)), (0.5, 1), (1e300, .max), (.infinity, .max)] {
            limiter.updateRate(estimated: estimate, now: .zero)
            #expect(limiter.currentLimit == limit)
        }
        for estimate in [0, -1, Double.nan] {
            limiter.updateRate(estimated: estimate, now: .zero)
            #expect(limiter.currentLimit == .max)
        }
    }

    @Test func hostileCountsAndTimesAreHarmless() {
        var limiter = limiter(rate: 1)
        #expect(limiter.admit(0, now: .zero) == nil)
        #expect(limiter.admit(-5, now: .zero) == nil)
        for _ in 0..<10 { _ = limiter.admit(.max, now: .zero) }
        #expect(limiter.admit(1, now: .seconds(-10)) == RateLimiter.longestDelay)
        #expect(limiter.delay(now: .seconds(Int64.max)) == RateLimiter.longestDelay)
    }

    private func limiter(rate: Int64) -> RateLimiter {
        RateLimiter(configuration: .init(maximumRate: rate), now: .zero)
    }
}

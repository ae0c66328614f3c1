import DStreamTestKit
import ReceiverRuntime
import Testing

/// The token bucket, driven with times made up.
@Suite struct RateLimiterTests {
    @Test func withoutALimitNothingWaits() {
        var limiter = RateLimiter(now: .zero)
        #expect(!limiter.isLimited && limiter.currentLimit == .max)
        for _ in 0..<3 { #expect(limiter.take(upTo: .max, now: .zero) == .granted(.max)) }
    }

    @Test func ratesOfZeroOrLessAreNoLimit() {
        let limiter = RateLimiter(
            configuration: .init(maximumRate: 0, initialRate: -1), now: .zero)
        #expect(!limiter.isLimited)
    }

    @Test func aLimitThatIsLiftedStaysSo() {
        var limiter = limiter(rate: 10, burst: .seconds(1))
        limiter.lift()
        limiter.updateRate(1, now: .zero)
        limiter.updateRate(estimated: 1.5, now: .zero)
        #expect(!limiter.isLimited)
        #expect(limiter.take(upTo: 100, now: .zero) == .granted(100))
    }

    @Test func noTokenIsLent() {
        var limiter = limiter(rate: 10, burst: .seconds(1))
        #expect(limiter.take(upTo: 5, now: .zero) == .granted(1))
        #expect(limiter.take(upTo: 5, now: .zero) == .wait(.milliseconds(100)))
        #expect(limiter.take(upTo: 5, atLeast: 3, now: .zero) == .wait(.milliseconds(300)))
        #expect(limiter.take(upTo: 5, now: .milliseconds(250)) == .granted(2))
        #expect(limiter.take(upTo: 5, now: .milliseconds(250)) == .wait(.milliseconds(50)))
    }

    @Test func noMoreThanOneBurstIsKept() {
        var limiter = limiter(rate: 10, burst: .seconds(1))
        #expect(limiter.take(upTo: 100, now: .seconds(100)) == .granted(10))
        #expect(limiter.take(upTo: 100, now: .seconds(100)) == .wait(.milliseconds(100)))
        // More than a burst together is more than ever comes.
        #expect(limiter.take(upTo: 100, atLeast: 50, now: .seconds(100)) == .wait(.seconds(1)))
        #expect(limiter.take(upTo: 100, atLeast: 50, now: .seconds(101)) == .granted(10))
    }

    @Test func withoutABurstOneElementPassesAtATime() {
        var limiter = limiter(rate: 10, burst: .zero)
        #expect(limiter.slice == 1)
        #expect(limiter.take(upTo: 100, now: .seconds(100)) == .granted(1))
        #expect(limiter.take(upTo: 100, now: .seconds(100)) == .wait(.milliseconds(100)))
    }

    /// Over any span, whatever is asked for and however the limit changes: at most what the limits
    /// allow for it, and one burst of the highest of them.
    @Test(arguments: UInt64(1)...50)
    func overAnySpanTheRateIsKept(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let burst = Duration.milliseconds([0, 5, 200, 1000].randomElement(using: &random) ?? 0)
        var limit = Int64.random(in: 1...100_000, using: &random)
        var limiter = RateLimiter(
            configuration: .init(initialRate: limit, burst: burst), now: .zero)
        var now = Duration.zero
        // At each time: what the limits allowed so far, what was granted so far, and the limit.
        var steps: [(allowed: Double, granted: Int, limit: Int64)] = [(0, 0, limit)]
        for _ in 0..<300 {
            let last = steps[steps.count - 1]
            let pause = Duration.microseconds(Int.random(in: 0...50_000, using: &random))
            let allowed = last.allowed + pause / .seconds(1) * Double(limit)
            now += pause
            if Int.random(in: 0..<10, using: &random) == 0 {
                limit = Int64.random(in: 1...100_000, using: &random)
                limiter.updateRate(limit, now: now)
            }
            var granted = last.granted
            let count = Int.random(in: 1...20_000, using: &random)
            if case .granted(let more) = limiter.take(
                upTo: count, atLeast: Int.random(in: 1...count, using: &random), now: now)
            {
                #expect(more >= 1 && more <= count)
                granted += more
            }
            steps.append((allowed, granted, max(limit, last.limit)))
        }
        for (start, first) in steps.enumerated() {
            var highest = first.limit
            for step in steps[start...] {
                highest = max(highest, step.limit)
                let allowance = max(1, burst / .seconds(1) * Double(highest)) + 1e-3
                #expect(
                    Double(step.granted - first.granted) <= step.allowed - first.allowed + allowance
                )
            }
        }
    }

    @Test func waitsThatAreKeptGiveTheWholeRate() {
        for rate in [Int64(1), 3, 7, 100, 999, 1_000_003] {
            var limiter = limiter(rate: rate, burst: .milliseconds(200))
            var (now, passed, waits) = (Duration.zero, 0, 0)
            while now < .seconds(10) {
                switch limiter.take(upTo: .max, atLeast: limiter.slice, now: now) {
                case .granted(let count): passed += count
                case .wait(let delay):
                    now += delay
                    waits += 1
                }
            }
            #expect(abs(passed - 10 * Int(rate)) <= Int(rate / 5) + 1, "\(rate)")
            // A timer for a slice, not for an element.
            #expect(waits <= 101, "\(rate)")
        }
    }

    @Test func aNewRateAppliesToWhatWaits() {
        var limiter = RateLimiter(configuration: .init(initialRate: 1), now: .zero)
        #expect(limiter.take(upTo: 1000, now: .zero) == .granted(1))
        #expect(limiter.take(upTo: 1000, now: .zero) == .wait(.seconds(1)))
        limiter.updateRate(1000, now: .zero)
        #expect(limiter.take(upTo: 1000, now: .zero) == .wait(.milliseconds(1)))
    }

    @Test func aLowerRateKeepsASmallerBurst() {
        var limiter = limiter(rate: 1000, burst: .seconds(1))
        limiter.updateRate(10, now: .seconds(5))
        #expect(limiter.take(upTo: 2000, now: .seconds(5)) == .granted(10))
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
        var limiter = limiter(rate: 1, burst: .seconds(Int64.max))
        #expect(limiter.take(upTo: 0, now: .zero) == .granted(0))
        #expect(limiter.take(upTo: -5, now: .zero) == .granted(0))
        #expect(
            limiter.take(upTo: .max, atLeast: .max, now: .zero) == .wait(RateLimiter.longestDelay))
        #expect(limiter.take(upTo: .max, now: .seconds(-10)) == .granted(1))
        #expect(
            limiter.take(upTo: .max, now: .seconds(Int64.max)) == .granted(1_000_000_000_000_000))
    }

    private func limiter(rate: Int64, burst: Duration) -> RateLimiter {
        RateLimiter(configuration: .init(maximumRate: rate, burst: burst), now: .zero)
    }
}

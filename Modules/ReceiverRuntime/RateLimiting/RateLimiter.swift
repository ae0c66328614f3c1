/// Decides how many elements a receiver may pass, and how long it waits for more: a token bucket as a
/// value.
///
/// Tokens come in at the current limit, and up to one burst of them is kept for later. Each element
/// takes a token that is there: none is lent. So over any span at most `limit × span + burst` elements
/// pass, and at least one in `1 / limit` seconds.
///
/// There is no clock inside; every call is told the time. The owner suspends for as long as `take`
/// says, and then asks again.
///
/// Without a limit nothing ever waits.
public struct RateLimiter: Sendable, Hashable {
    /// The bounds of the rate.
    public struct Configuration: Sendable, Hashable {
        /// The highest rate in elements per second, more than 0; nil for none.
        public var maximumRate: Int64?
        /// The rate before the first update, in elements per second, more than 0; nil for the highest.
        public var initialRate: Int64?
        /// For how long tokens are gathered while nothing passes, 0 or more; nil for one block interval.
        ///
        /// A batch holds at most this much more than the rate allows for its interval, and one
        /// element in any case. Spark gathers for a second.
        public var burst: Duration?

        /// Creates a configuration; ``ReceiverConfiguration/validate()`` refuses what cannot work.
        ///
        /// - Parameters:
        ///   - maximumRate: the highest rate in elements per second.
        ///   - initialRate: the rate before the first update.
        ///   - burst: for how long tokens are gathered.
        public init(
            maximumRate: Int64? = nil, initialRate: Int64? = nil, burst: Duration? = nil
        ) {
            self.maximumRate = maximumRate
            self.initialRate = initialRate
            self.burst = burst
        }
    }

    /// What came of asking for tokens.
    public enum Permit: Sendable, Hashable {
        /// So many elements may pass now.
        case granted(Int)
        /// None may pass before this time has gone by; at most ``RateLimiter/longestDelay``.
        case wait(Duration)
    }

    /// The bounds of the rate.
    public let configuration: Configuration

    /// The present limit in elements per second; `Int64.max` stands for none.
    public private(set) var currentLimit: Int64

    private var isLifted = false

    /// Tokens at hand, never below zero.
    private var balance: Double = 1
    private var balanceTime: Duration

    /// Creates a limiter that lets one element pass at once.
    ///
    /// - Parameters:
    ///   - configuration: the bounds of the rate; rates of zero or less count as nil, a burst below
    ///     zero as zero, and one of nil as 200 ms.
    ///   - now: the present monotonic time.
    public init(configuration: Configuration = Configuration(), now: Duration) {
        self.configuration = Configuration(
            maximumRate: configuration.maximumRate.flatMap { $0 > 0 ? $0 : nil },
            initialRate: configuration.initialRate.flatMap { $0 > 0 ? $0 : nil },
            burst: max(configuration.burst ?? .milliseconds(200), .zero))
        let maximum = self.configuration.maximumRate ?? .max
        currentLimit = min(self.configuration.initialRate ?? maximum, maximum)
        balanceTime = now
    }

    /// Whether there is a limit at present.
    public var isLimited: Bool { currentLimit != .max }

    /// How many elements are worth a wait together: half a burst, and at most a tenth of a second's.
    ///
    /// Waiting for each element by itself would take a timer each.
    public var slice: Int { max(1, Int(min(capacity / 2, Double(currentLimit) / 10))) }

    /// Takes the tokens for as many of some elements as there are.
    ///
    /// - Parameters:
    ///   - count: how many elements wait; zero or less takes nothing and does not wait.
    ///   - least: how many of them must pass together, as far as a burst allows.
    ///   - now: the present monotonic time; one that went back counts as the last.
    public mutating func take(upTo count: Int, atLeast least: Int = 1, now: Duration) -> Permit {
        guard count > 0 else { return .granted(0) }
        refill(now: now)
        guard isLimited else { return .granted(count) }
        let wanted = max(1, min(Double(min(count, least)), capacity.rounded(.down)))
        // What rounding has cost is not waited for: waits are whole nanoseconds.
        let available = (balance + 1e-6 + Double(currentLimit) * 1e-9).rounded(.down)
        guard available >= wanted else {
            let nanoseconds = (wanted - balance) / Double(currentLimit) * 1e9
            let longest = Self.longestDelay
            return .wait(
                nanoseconds < longest / .nanoseconds(1)
                    ? .nanoseconds(Int64(nanoseconds.rounded())) : longest)
        }
        let granted = available < Double(count) ? Int(available) : count
        balance = max(0, balance - Double(granted))
        return .granted(granted)
    }

    /// Changes the limit, within the highest.
    ///
    /// Tokens are kept, as far as the new burst allows.
    ///
    /// - Parameters:
    ///   - rate: the new limit in elements per second; zero or less changes nothing.
    ///   - now: the present monotonic time.
    public mutating func updateRate(_ rate: Int64, now: Duration) {
        guard rate > 0, !isLifted else { return }
        refill(now: now)
        currentLimit = min(rate, configuration.maximumRate ?? .max)
        balance = min(balance, capacity)
    }

    /// Ends the limit for good; later updates change nothing.
    package mutating func lift() {
        isLifted = true
        currentLimit = .max
    }

    /// Changes the limit to the whole number next below a rate, at least 1; see `updateRate`.
    ///
    /// - Parameters:
    ///   - rate: the new limit in elements per second; zero, less, or not a number changes nothing.
    ///   - now: the present monotonic time.
    public mutating func updateRate(estimated rate: Double, now: Duration) {
        guard rate > 0 else { return }
        let whole = rate < Double(Int64.max) ? Int64(rate) : .max
        updateRate(max(1, whole), now: now)
    }

    /// The longest wait that is ever asked for: a day.
    public static let longestDelay = Duration.seconds(86_400)

    /// The tokens of one burst, at least one; bounded so that it is exact as a number.
    private var capacity: Double {
        guard isLimited else { return 1 }
        let burst = configuration.burst.map { Self.seconds($0) } ?? 0
        return min(max(1, Double(currentLimit) * burst), 1e15)
    }

    private mutating func refill(now: Duration) {
        guard now > balanceTime else { return }
        if isLimited {
            let earned = Self.seconds(now - balanceTime) * Double(currentLimit)
            balance = min(balance + earned, capacity)
        } else {
            // What came without a limit has used up what there was.
            balance = 0
        }
        balanceTime = now
    }

    private static func seconds(_ duration: Duration) -> Double {
        duration / .seconds(1)
    }
}

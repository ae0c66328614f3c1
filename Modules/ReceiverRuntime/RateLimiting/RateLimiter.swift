/// Decides how long a receiver must wait so that it stays below a rate: a token bucket as a value.
///
/// Tokens come in at the current limit, and up to one burst of them is kept for later. Admitting
/// elements takes one token each and may overdraw: the elements at hand are let in, and those that come
/// next wait until the debt is paid. So over any span the elements admitted are at most
/// `limit × span + burst`, plus one call's.
///
/// There is no clock inside; every call is told the time. The owner suspends for what `admit` returns,
/// and only then passes the elements on.
///
/// Without a limit nothing ever waits.
public struct RateLimiter: Sendable, Hashable {
    /// The bounds of the rate.
    public struct Configuration: Sendable, Hashable {
        /// The highest rate in elements per second, nil for none.
        public let maximumRate: Int64?
        /// The rate before the first update, in elements per second, nil for the highest.
        public let initialRate: Int64?
        /// How long tokens are gathered while nothing is admitted.
        ///
        /// A second evens out bursty sources.
        public let burst: Duration

        /// Creates a configuration; rates of zero or less count as nil.
        ///
        /// - Parameters:
        ///   - maximumRate: the highest rate in elements per second.
        ///   - initialRate: the rate before the first update.
        ///   - burst: how long tokens are gathered; below zero counts as zero.
        public init(
            maximumRate: Int64? = nil, initialRate: Int64? = nil, burst: Duration = .seconds(1)
        ) {
            self.maximumRate = maximumRate.flatMap { $0 > 0 ? $0 : nil }
            self.initialRate = initialRate.flatMap { $0 > 0 ? $0 : nil }
            self.burst = max(burst, .zero)
        }
    }

    /// The bounds of the rate.
    public let configuration: Configuration

    /// The present limit in elements per second; `Int64.max` stands for none.
    public private(set) var currentLimit: Int64

    /// Tokens at hand; below zero it is a debt.
    private var balance: Double = 0
    private var balanceTime: Duration

    /// Creates a limiter with an empty bucket.
    ///
    /// - Parameters:
    ///   - configuration: the bounds of the rate.
    ///   - now: the present monotonic time.
    public init(configuration: Configuration = Configuration(), now: Duration) {
        self.configuration = configuration
        let maximum = configuration.maximumRate ?? .max
        currentLimit = min(configuration.initialRate ?? maximum, maximum)
        balanceTime = now
    }

    /// Whether there is a limit at present.
    public var isLimited: Bool { currentLimit != .max }

    /// Takes the tokens for some elements.
    ///
    /// - Parameters:
    ///   - count: how many elements; zero or less takes nothing and does not wait.
    ///   - now: the present monotonic time; one that went back counts as the last.
    /// - Returns: how long to suspend before the elements may pass, nil if not at all. At most
    ///   `longestDelay`.
    public mutating func admit(_ count: Int, now: Duration) -> Duration? {
        guard count > 0 else { return nil }
        refill(now: now)
        let delay = debtDelay
        if isLimited { balance -= Double(count) }
        return delay
    }

    /// How long elements would have to wait at present, nil if not at all.
    ///
    /// For an owner that is told of a new rate while it waits by the old one.
    ///
    /// - Parameter now: the present monotonic time.
    public func delay(now: Duration) -> Duration? {
        var copy = self
        copy.refill(now: now)
        return copy.debtDelay
    }

    /// Changes the limit, within the highest.
    ///
    /// Tokens and debt are kept, and paid at the new rate.
    ///
    /// - Parameters:
    ///   - rate: the new limit in elements per second; zero or less changes nothing.
    ///   - now: the present monotonic time.
    public mutating func updateRate(_ rate: Int64, now: Duration) {
        guard rate > 0 else { return }
        refill(now: now)
        currentLimit = min(rate, configuration.maximumRate ?? .max)
        balance = min(balance, capacity)
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

    private var capacity: Double {
        isLimited ? Double(currentLimit) * Self.seconds(configuration.burst) : 0
    }

    private var debtDelay: Duration? {
        guard isLimited, balance < 0 else { return nil }
        let seconds = -balance / Double(currentLimit)
        let longest = Self.seconds(Self.longestDelay)
        return seconds < longest ? .seconds(seconds) : Self.longestDelay
    }

    private mutating func refill(now: Duration) {
        guard now > balanceTime else { return }
        if isLimited {
            let earned = Self.seconds(now - balanceTime) * Double(currentLimit)
            balance = min(balance + earned, capacity)
        } else {
            balance = 0
        }
        balanceTime = now
    }

    private static func seconds(_ duration: Duration) -> Double {
        duration / .seconds(1)
    }
}

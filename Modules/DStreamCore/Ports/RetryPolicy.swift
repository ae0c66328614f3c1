internal import BatchEngine

/// How often a failed output operation runs again, and how long it waits before: exponential
/// back-off.
///
/// ```swift
/// counts.foreachRDD { … }
///     .onFailure(retry: RetryPolicy(maxAttempts: 5, initialBackoff: .milliseconds(200)))
/// ```
///
/// A retry runs the whole operation again, with the same RDD. The tries of single tasks, Spark's
/// `spark.task.maxFailures`, happen within each of them.
public struct RetryPolicy: Sendable, Hashable {
    /// How often the operation runs in all, the first time included; at least 1.
    public var maxAttempts: Int
    /// The wait before the second attempt; 0 or more.
    public var initialBackoff: Duration
    /// By how much each further wait is longer, at least 1.
    public var multiplier: Double
    /// The longest wait, at least ``initialBackoff``.
    public var maxBackoff: Duration
    /// By what part of itself a wait may be shortened, 0 to 1.
    ///
    /// By how much follows from batch and operation, so that it is the same in every run.
    public var jitter: Double

    /// No retry: the first failure counts.
    public static let none = RetryPolicy(maxAttempts: 1)

    /// Makes a policy; what cannot work is reported by `start()`.
    public init(
        maxAttempts: Int = 3, initialBackoff: Duration = .seconds(1), multiplier: Double = 2,
        maxBackoff: Duration = .seconds(60), jitter: Double = 0
    ) {
        self.maxAttempts = maxAttempts
        self.initialBackoff = initialBackoff
        self.multiplier = multiplier
        self.maxBackoff = maxBackoff
        self.jitter = jitter
    }

    /// The wait after a failed attempt.
    ///
    /// - Parameters:
    ///   - attempt: which one failed, from 1.
    ///   - seed: decides the jitter; equal seeds give equal waits.
    public func backoff(afterAttempt attempt: Int, seed: UInt64 = 0) -> Duration {
        guard initialBackoff > .zero else { return .zero }
        let most = maxBackoff.ratio(to: initialBackoff)
        var factor = 1.0
        var left = multiplier > 1 ? attempt - 1 : 0
        while left > 0, factor < most {
            factor *= multiplier
            left -= 1
        }
        let full = factor < most ? initialBackoff * factor : max(initialBackoff, maxBackoff)
        guard jitter > 0 else { return full }
        var hasher = StableHasher()
        hasher.combine(hash: seed)
        hasher.combine(hash: UInt64(clamping: attempt))
        let part = Double(hasher.finish() >> 11) / Double(1 << 53)
        return full * (1 - min(jitter, 1) * part)
    }

    /// What cannot work, in words.
    var problem: String? {
        if maxAttempts < 1 { return "maxAttempts is \(maxAttempts); it must be at least 1" }
        if initialBackoff < .zero {
            return "initialBackoff is \(initialBackoff); it must not be negative"
        }
        if !(multiplier >= 1 && multiplier.isFinite) {
            return "multiplier is \(multiplier); it must be at least 1"
        }
        if maxBackoff < initialBackoff {
            return "maxBackoff is \(maxBackoff); it must be at least initialBackoff "
                + "(\(initialBackoff))"
        }
        if !(0...1).contains(jitter) { return "jitter is \(jitter); it must be 0 to 1" }
        return nil
    }
}

extension Duration {
    /// The duration of a number of minutes, at the end of the range of milliseconds if beyond it.
    public static func minutes(_ count: Int64) -> Duration {
        .milliseconds(count.saturatingMultiply(60_000))
    }

    /// The duration in whole milliseconds, or nil if it has a fraction of one or is out of range.
    public var wholeMilliseconds: Int64? {
        let parts = attosecondParts
        guard parts.remainder == 0 else { return nil }
        return Int64(exactly: parts.milliseconds)
    }

    /// The duration in milliseconds, its fraction dropped, at the end of the range if beyond it.
    public var milliseconds: Int64 {
        Int64(clamping: attosecondParts.milliseconds)
    }

    /// The duration in milliseconds with its fraction; exact for whole ones below 2^53.
    public var fractionalMilliseconds: Double {
        if let whole = wholeMilliseconds { return Double(whole) }
        let parts = attosecondParts
        return Double(parts.milliseconds) + Double(parts.remainder) / 1e15
    }

    /// Whether this duration is a whole number of others, to the attosecond.
    ///
    /// - Throws: `zeroDuration` if the other is zero.
    public func isMultiple(of other: Duration) throws(BatchTimeError) -> Bool {
        guard other != .zero else { throw .zeroDuration(of: other) }
        return clampedAttoseconds % other.clampedAttoseconds == 0
    }

    /// The quotient of two durations; infinite or not a number if the other is zero.
    ///
    /// For whole milliseconds it is the quotient of their numbers, rounded once.
    public func ratio(to other: Duration) -> Double {
        fractionalMilliseconds / other.fractionalMilliseconds
    }

    /// The duration as people read it: `999 ms`, `1.5 s`, `2.0 m` or `1.50 h`.
    ///
    /// Fractions of a millisecond are dropped; negative durations are always in milliseconds.
    public func prettyPrint() -> String {
        let count = milliseconds
        // Single precision and rounding half up, so that the text is Spark's to the last digit.
        if count < 1000 { return "\(count) ms" }
        if count < 60_000 { return "\(decimalText(Float(count) / 1000, fractionDigits: 1)) s" }
        if count < 3_600_000 {
            return "\(decimalText(Float(count) / 60_000, fractionDigits: 1)) m"
        }
        return "\(decimalText(Float(count) / 3_600_000, fractionDigits: 2)) h"
    }
}

extension Duration {
    /// The duration as the step of a grid of times, in whole milliseconds.
    ///
    /// - Throws: `zeroDuration` or `fractionOfMillisecond`.
    package func gridMilliseconds() throws(BatchTimeError) -> Int64 {
        guard self != .zero else { throw .zeroDuration(of: self) }
        guard let whole = wholeMilliseconds else {
            throw BatchTimeError(
                code: .fractionOfMillisecond,
                message: "\(self) is not a whole number of milliseconds within range")
        }
        return whole
    }

    /// The attoseconds, held within those that `components` can express.
    private var clampedAttoseconds: Int128 {
        let limit = Duration.seconds(Int64.max)
        let parts = Swift.min(Swift.max(self, .zero - limit), limit).components
        return Int128(parts.seconds) * 1_000_000_000_000_000_000 + Int128(parts.attoseconds)
    }

    private var attosecondParts: (milliseconds: Int128, remainder: Int128) {
        let parts = clampedAttoseconds.quotientAndRemainder(dividingBy: 1_000_000_000_000_000)
        return (parts.quotient, parts.remainder)
    }
}

extension BatchTimeError {
    fileprivate static func zeroDuration(of duration: Duration) -> BatchTimeError {
        BatchTimeError(code: .zeroDuration, message: "a step of zero makes no grid of times")
    }
}

/// Writes a value that is not negative with a fixed number of decimals, rounding half up.
private func decimalText(_ value: Float, fractionDigits: Int) -> String {
    let scale: Int64 = fractionDigits == 1 ? 10 : 100
    // A Float of 24 bits times at most 100 is exact in a Double.
    let scaled = Int64((Double(value) * Double(scale) + 0.5).rounded(.down))
    let fraction = String(scaled % scale)
    let zeros = String(repeating: "0", count: fractionDigits - fraction.count)
    return "\(scaled / scale).\(zeros)\(fraction)"
}

extension Int64 {
    /// The sum, at the end of the range if beyond it.
    package func saturatingAdd(_ other: Int64) -> Int64 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? (other < 0 ? .min : .max) : sum
    }

    /// The difference, at the end of the range if beyond it.
    package func saturatingSubtract(_ other: Int64) -> Int64 {
        let (difference, overflow) = subtractingReportingOverflow(other)
        return overflow ? (other < 0 ? .max : .min) : difference
    }

    /// The product, at the end of the range if beyond it.
    package func saturatingMultiply(_ other: Int64) -> Int64 {
        let (product, overflow) = multipliedReportingOverflow(by: other)
        return overflow ? ((self < 0) == (other < 0) ? .max : .min) : product
    }
}

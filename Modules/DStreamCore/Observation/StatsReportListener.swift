internal import BatchEngine
internal import Synchronization

/// A listener that reports the spread of the delays of the last batches after each batch.
///
/// For the total delay and the processing time it logs one line each, at level info, with the count,
/// the mean, the standard deviation and the quantiles at
/// `DelayDistribution.reportedPercentages`.
public final class StatsReportListener: StreamingListener {
    /// The number of batches a report covers.
    public let batchCount: Int

    private let logger: any DiagnosticLogger
    private let batches = Locked<[BatchInfo]>([])

    /// Creates a listener.
    ///
    /// - Parameters:
    ///   - batchCount: the number of batches a report covers; at least 1 is taken.
    ///   - logger: where the reports go.
    public init(
        batchCount: Int = 10, logger: any DiagnosticLogger = StandardErrorDiagnosticLogger()
    ) {
        self.batchCount = max(1, batchCount)
        self.logger = logger
    }

    /// The spread of the total delays of the last batches, nil before the first.
    public var totalDelays: DelayDistribution? { distribution(of: \.totalDelay) }

    /// The spread of the processing times of the last batches, nil before the first.
    public var processingDelays: DelayDistribution? { distribution(of: \.processingDelay) }

    /// Takes a batch into account and logs the two reports.
    public func onBatchCompleted(_ batch: BatchInfo) {
        batches.withLock { batches in
            batches.append(batch)
            if batches.count > batchCount { batches.removeFirst() }
        }
        report("Total delay", totalDelays)
        report("Processing time", processingDelays)
    }

    private func distribution(of delay: (BatchInfo) -> Duration?) -> DelayDistribution? {
        DelayDistribution(batches.withLock { $0 }.compactMap(delay))
    }

    private func report(_ heading: String, _ distribution: DelayDistribution?) {
        guard let distribution else { return }
        logger.log(level: .info, Self.text(heading, distribution), metadata: [:])
    }

    private static func text(_ heading: String, _ distribution: DelayDistribution) -> String {
        let quantiles = DelayDistribution.reportedPercentages.map { percentage in
            "\(percentage)% \(distribution.quantile(Double(percentage) / 100).prettyPrint())"
        }
        return "\(heading): count \(distribution.count)"
            + ", mean \(distribution.mean.prettyPrint())"
            + ", stdev \(distribution.standardDeviation.prettyPrint())"
            + ", \(quantiles.joined(separator: ", "))"
    }
}

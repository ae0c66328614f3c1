import DStreamCore
import DStreamTestKit
import JobGeneration
import Synchronization
import Testing

@Suite("Rate estimators are checked", .timeLimit(.minutes(5)))
struct WrongEstimatorTests {
    @Test("ours keeps its promises")
    func right() throws {
        try checkRateEstimator { try PIDRateEstimator(batchInterval: .seconds(1)) }
    }

    @Test(
        "wrong ones are noticed",
        arguments: zip(
            WrongEstimator.Fault.allCases,
            ["finite and above zero", "whose time has not advanced", "an estimator of its own"]))
    func fault(_ fault: WrongEstimator.Fault, promise: String) async {
        let failure = await failure { try checkRateEstimator { WrongEstimator(fault) } }
        #expect(failure.contains(promise))
    }
}

/// Takes the newest throughput for the rate.
struct WrongEstimator: RateEstimator {
    enum Fault: CaseIterable {
        case givesWhatComesOut, takesOldBatches, isShared
    }
    private final class Shared: Sendable {
        let count = Mutex(0.0)
    }

    private let fault: Fault
    private let shared = Shared()
    private var last: BatchTime?

    init(_ fault: Fault) { self.fault = fault }

    mutating func compute(
        time: BatchTime, elements: Int, processingDelay: Duration, schedulingDelay: Duration
    ) -> Double? {
        if let last, time <= last, fault != .takesOldBatches { return nil }
        last = time
        let rate = Double(elements) / (processingDelay / .seconds(1))
        if fault == .givesWhatComesOut { return rate }
        guard rate.isFinite, rate > 0 else { return nil }
        guard fault == .isShared else { return rate }
        return shared.count.withLock { count in
            count += 1
            return rate + count
        }
    }
}

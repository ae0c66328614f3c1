import DStreamCore
import JobGeneration
import Testing

/// The estimator beyond the recorded cases: refused settings, tiny and hostile measurements.
@Suite struct PIDRateEstimatorTests {
    @Test func settingsOutOfRangeAreRefused() {
        #expect(code(batch: .zero) == .invalidBatchInterval)
        #expect(code(batch: .seconds(-1)) == .invalidBatchInterval)
        for weight in [-0.1, .nan, .infinity] {
            #expect(code(.init(proportional: weight)) == .invalidWeight)
            #expect(code(.init(integral: weight)) == .invalidWeight)
            #expect(code(.init(derivative: weight)) == .invalidWeight)
        }
        for rate in [0, -1, .nan, Double.infinity] {
            #expect(code(.init(minimumRate: rate)) == .invalidMinimumRate)
        }
        #expect(code(.init()) == nil)
    }

    @Test func onlyKnownNamesMakeAConfiguration() throws {
        #expect(try RateEstimatorConfiguration(name: "pid") == .pid(.init()))
        #expect(throws: RateEstimatorError.self) { try RateEstimatorConfiguration(name: "PID") }
    }

    @Test func batchesShorterThanAMillisecondCount() throws {
        var estimator: any RateEstimator = try RateEstimatorConfiguration.pid(
            .init(minimumRate: 1)
        ).makeEstimator(batchInterval: .milliseconds(1))
        #expect(compute(&estimator, at: 1, elements: 10, processing: .microseconds(500)) == nil)
        let rate = compute(&estimator, at: 2, elements: 10, processing: .microseconds(500))
        #expect(rate == 20_000)
    }

    @Test func unusableBatchesChangeNothing() throws {
        var estimator = try PIDRateEstimator(batchInterval: .seconds(1))
        _ = compute(&estimator, at: 1000, elements: 500, processing: .milliseconds(400))
        let before = estimator
        #expect(compute(&estimator, at: 1000, elements: 9, processing: .seconds(1)) == nil)
        #expect(compute(&estimator, at: 2000, elements: 0, processing: .seconds(1)) == nil)
        #expect(compute(&estimator, at: 2000, elements: -1, processing: .seconds(1)) == nil)
        #expect(compute(&estimator, at: 2000, elements: 9, processing: .zero) == nil)
        #expect(estimator == before)
    }

    @Test func ratesStayFiniteAndAboveTheMinimumWhateverIsMeasured() throws {
        var estimator = try PIDRateEstimator(
            batchInterval: .milliseconds(1),
            configuration: .init(
                proportional: 1e300, integral: 1e300, derivative: 1e300, minimumRate: 3))
        let delays: [Duration] = [.seconds(Int64.max), .nanoseconds(1), .seconds(Int64.min)]
        var time: Int64 = 0
        for elements in [1, Int.max, 1, Int.max, 5] {
            for delay in delays {
                time += 1
                let rate = estimator.compute(
                    time: .milliseconds(time), elements: elements, processingDelay: delay,
                    schedulingDelay: delay)
                if let rate { #expect(rate.isFinite && rate >= 3) }
            }
        }
        let last = estimator.compute(
            time: BatchTime(milliseconds: .max), elements: 1, processingDelay: .seconds(1),
            schedulingDelay: .zero)
        #expect(last != nil)
    }

    private func code(
        _ configuration: PIDRateEstimator.Configuration = .init(), batch: Duration = .seconds(1)
    ) -> RateEstimatorError.Code? {
        do {
            _ = try PIDRateEstimator(batchInterval: batch, configuration: configuration)
            return nil
        } catch {
            return error.code
        }
    }

    private func compute(
        _ estimator: inout some RateEstimator, at time: Int64, elements: Int, processing: Duration
    ) -> Double? {
        estimator.compute(
            time: .milliseconds(time), elements: elements, processingDelay: processing,
            schedulingDelay: .zero)
    }

    private func compute(
        _ estimator: inout any RateEstimator, at time: Int64, elements: Int, processing: Duration
    ) -> Double? {
        estimator.compute(
            time: .milliseconds(time), elements: elements, processingDelay: processing,
            schedulingDelay: .zero)
    }
}

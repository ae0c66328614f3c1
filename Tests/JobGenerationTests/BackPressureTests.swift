import DStreamCore
import DStreamTestKit
import JobGeneration
import Testing

/// Rates from completed batches to the receivers.
@Suite(.timeLimit(.minutes(5))) struct BackPressureTests {
    private struct FixedEstimator: RateEstimator {
        func compute(
            time: BatchTime, elements: Int, processingDelay: Duration, schedulingDelay: Duration
        ) -> Double? {
            elements == 0
                ? nil
                : Double(time.milliseconds) + Double(elements)
                    + Double(processingDelay.milliseconds) / 1000
        }
    }

    @Test func eachCompletedBatchGivesTheStreamsTheirRates() async throws {
        let controller = RecordingController()
        let streams = [StreamID(0), StreamID(1)]
        let harness = SchedulerHarness(
            policy: .continue,
            backPressure: BackPressure(
                estimators: [streams[0]: FixedEstimator(), streams[1]: FixedEstimator()],
                initialRate: 50, controller: controller))
        let gate = Gate()
        try await harness.run {
            await controller.trace.expect(["0: 50.0", "1: 50.0"])
            harness.clock.set(to: .seconds(1))
            try await harness.submit(
                1, [harness.output(0, of: 1, gate: gate)], records: [streams[0]: 7, streams[1]: 0])
            await harness.trace.wait(for: "start 1000/0")
            harness.clock.set(to: .milliseconds(1500))
            gate.open()
            await controller.trace.expect(["0: 1507.5"])
            _ = await harness.events.first {
                $0 == .rateUpdated(stream: streams[0], elementsPerSecond: 1507)
            }
            // A failed batch says nothing about how fast batches are.
            try await harness.submit(
                2, [harness.output(0, of: 2, error: Boom("boom"))], records: [streams[0]: 9])
            await harness.trace.wait(for: "2000 failed")
            try await harness.submit(3, [harness.output(0, of: 3)], records: [streams[0]: 1])
            await controller.trace.expect(["0: 1501.0"])
        }
    }

    @Test func withoutBackPressureNobodyIsAsked() async throws {
        let harness = SchedulerHarness()
        try await harness.run {
            try await harness.submit(
                1, [harness.output(0, of: 1)], records: [StreamID(0): 7])
            await harness.trace.wait(for: "1000 completed")
        }
        #expect(harness.events.all.count == 5)
    }
}

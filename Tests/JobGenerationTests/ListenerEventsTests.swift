import BatchEngine
import DStreamCore
import DStreamTestKit
import JobGeneration
import Testing

/// The event sequences of Spark's listeners, generator and scheduler together.
///
/// One line per batch: events as `submitted`, `started`, `output 0 started`, `output 0 completed`,
/// `completed`, as the recorded cases have them, then what is pending.
@Suite(.timeLimit(.minutes(5))) struct ListenerEventsTests {
    /// A recorded case: which outputs there are and which of them fail.
    struct Case: Sendable, CustomTestStringConvertible {
        let name: String
        let outputCount: Int
        var failing: Int?
        var failsGeneration = false
        /// Only batches at multiples of this have jobs.
        var slide: Int64 = 1
        var batchCount: Int64 = 3
        /// The batches pending after each batch; with one of ours where Spark forgets a failure.
        let pending: [[Int64]]

        var testDescription: String { name }
    }

    static let cases = [
        Case(name: "one_output", outputCount: 1, pending: [[], [], []]),
        Case(name: "only_output_fails", outputCount: 1, failing: 0, pending: [[], [2], [2]]),
        // Spark counts the next two as done, because a later output succeeded.
        Case(
            name: "first_of_two_outputs_fails", outputCount: 2, failing: 0,
            pending: [[], [2], [2]]),
        Case(
            name: "three_outputs_middle_fails", outputCount: 3, failing: 1,
            pending: [[], [2], [2]]),
        // Spark loses a batch that could not be generated.
        Case(
            name: "generation_fails_in_second_output", outputCount: 2, failsGeneration: true,
            pending: [[], [2], [2]]),
        Case(
            name: "batches_without_jobs", outputCount: 1, slide: 2, batchCount: 4,
            pending: [[], [], [], []]),
    ]

    @Test(arguments: cases) func eventsAreSparks(_ scenario: Case) async throws {
        let recorded = try RecordedEvents.load(scenario.name)
        #expect(recorded.count == Int(scenario.batchCount))
        let run = ListenerRun(scenario)
        try await run.perform { batch in
            let index = Int(batch.milliseconds / 1000) - 1
            let expected = recorded[index].events
            #expect(run.takeEvents() == expected, "batch \(batch)")
            #expect(
                await run.generator.pendingBatches == scenario.pending[index].map { .seconds($0) })
            #expect(run.takeErrorCount() == (recorded[index].hasError ? 1 : 0))
        }
    }
}

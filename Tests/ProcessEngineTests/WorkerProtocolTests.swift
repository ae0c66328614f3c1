import BatchEngine
import DStreamCore
import DStreamTestKit
import ProcessEngine
import Testing

/// What the driver does with answers that no right worker gives.
///
/// A worker that answers the wrong thing is killed, and its task is run by another one: no result
/// is ever taken for that of another task.
@Suite("Answers of workers", .timeLimit(.minutes(5))) struct WorkerProtocolTests {
    /// What may arrive in place of the third answer.
    enum Fault: CaseIterable {
        case earlierAnswer, byteMore, byteLess, otherNumber, otherKind, nothing

        func arrives(_ answer: Frames.Message, _ earlier: [Frames.Message]) -> Frames.Message {
            let payload = answer.payload
            switch self {
            case .earlierAnswer: return earlier[earlier.count - 1]
            case .byteMore: return Frames.Message(answer.kind, payload + [0])
            case .byteLess: return Frames.Message(answer.kind, payload.dropLast())
            case .otherNumber:
                return Frames.Message(answer.kind, [payload[0] + 1] + payload.dropFirst())
            case .otherKind: return Frames.Message(.task, payload)
            case .nothing: return Frames.Message(answer.kind, [])
            }
        }
    }

    private func run(_ script: WorkerScript) async throws -> [[Int]] {
        let harness = script.harness()
        let numbers = harness.input([[("a", 1)], [("a", 10)], [("a", 100)]], partitions: 1)
        let sums = numbers.updateStateByKey(partitions: 1) { (values: [Int], sum: Int?) in
            values.reduce(sum ?? 0, +)
        }
        let output = harness.record(sums)
        try await harness.run(batches: 3)
        #expect(harness.errors.isEmpty)
        return output.batches.map { $0.elements.map(\.1) }
    }

    @Test("an answer that is not the task's ends the worker", arguments: Fault.allCases)
    func wrongAnswer(_ fault: Fault) async throws {
        let script = WorkerScript(atAnswer: { number, answer, earlier in
            number == 2 ? fault.arrives(answer, earlier) : answer
        })
        #expect(try await run(script) == [[1], [11], [111]])
        #expect(script.starts == 2)
    }

    @Test("no message may have bytes left over")
    func trailing() async throws {
        let script = WorkerScript()
        #expect(try await run(script) == [[1], [11], [111]])
        let (tasks, answers) = script.messages
        try #require(!tasks.isEmpty && !answers.isEmpty)
        let failure = Frames.Message(.failure, [1, 0, 0, 1, 97, 0, 0, 0])
        let others = [
            WorkerProcess.helloForTests("secret"), failure, Frames.Message(.welcome, []),
            Frames.Message(.service, [3]),
        ]
        for message in tasks + answers + others {
            #expect(throws: Never.self) { try message.check() }
            let longer = Frames.Message(message.kind, message.payload + [0])
            #expect(throws: (any Error).self, "\(message.kind)") { try longer.check() }
        }
    }
}

import DStreamCore
import DStreamTestKit
import FaultTolerance
import Synchronization
import Testing

@Suite("Keepers of choices are checked", .timeLimit(.minutes(5)))
struct WrongChoicesTests {
    /// Choices in a log in files.
    private struct Filed: InputChoices {
        let directory: String
        let log: FileWriteAheadLog
        let base: LoggedInputChoices

        init(_ directory: String, on medium: SimulatedStorageMedium) async throws {
            self.directory = directory
            log = try await FileWriteAheadLog.open(directory, on: medium)
            base = try await LoggedInputChoices(log: log)
        }

        func choice(of stream: StreamID, for batch: BatchTime) async -> InputChoice? {
            await base.choice(of: stream, for: batch)
        }

        func keep(
            _ choice: InputChoice, of stream: StreamID, for batch: BatchTime
        ) async throws { try await base.keep(choice, of: stream, for: batch) }

        func release(before threshold: BatchTime, keeping pending: Set<BatchTime>) async throws {
            try await base.release(before: threshold, keeping: pending)
        }
    }

    @Test("those in a log keep their promises")
    func right() async throws {
        try await checkInputChoices {
            try await LoggedInputChoices(log: InMemoryWriteAheadLog())
        }
        let medium = SimulatedStorageMedium()
        let count = Mutex(0)
        try await checkInputChoices {
            let number = count.withLock { count in
                count += 1
                return count
            }
            return try await Filed("/\(number)", on: medium)
        } reopen: { choices in
            guard let choices = choices as? Filed else { return choices }
            await choices.log.close()
            return try await Filed(choices.directory, on: medium)
        }
    }

    @Test(
        "wrong ones are noticed",
        arguments: zip(
            WrongChoices.Fault.allCases,
            [
                "is of its stream and batch alone", "replaces the earlier one",
                "known in the next run", "older batches that are pending",
                "from the threshold on", "release forgets older batches",
            ]))
    func fault(_ fault: WrongChoices.Fault, promise: String) async {
        let failure = await failure {
            try await checkInputChoices {
                WrongChoices(fault)
            } reopen: { choices in
                (choices as? WrongChoices)?.reopened() ?? choices
            }
        }
        #expect(failure.contains(promise))
    }
}

final class WrongChoices: InputChoices {
    enum Fault: CaseIterable {
        case mixesStreams, keepsTheFirst, forgetsAtTheEnd, releasesPending, releasesTooMuch
        case releasesNothing
    }
    private struct Key: Hashable {
        let stream: StreamID
        let batch: BatchTime
    }

    private let fault: Fault
    private let all = Mutex<[Key: InputChoice]>([:])

    init(_ fault: Fault) { self.fault = fault }

    func reopened() -> WrongChoices {
        if fault == .forgetsAtTheEnd { all.withLock { $0 = [:] } }
        return self
    }

    private func key(_ stream: StreamID, _ batch: BatchTime) -> Key {
        Key(stream: fault == .mixesStreams ? StreamID(0) : stream, batch: batch)
    }

    func choice(of stream: StreamID, for batch: BatchTime) async -> InputChoice? {
        all.withLock { $0[key(stream, batch)] }
    }

    func keep(_ choice: InputChoice, of stream: StreamID, for batch: BatchTime) async throws {
        all.withLock { all in
            if fault == .keepsTheFirst, all[key(stream, batch)] != nil { return }
            all[key(stream, batch)] = choice
        }
    }

    func release(before threshold: BatchTime, keeping pending: Set<BatchTime>) async throws {
        if fault == .releasesNothing { return }
        let limit = fault == .releasesTooMuch ? threshold + .seconds(100) : threshold
        all.withLock { all in
            all = all.filter { key, _ in
                key.batch >= limit || fault != .releasesPending && pending.contains(key.batch)
            }
        }
    }
}

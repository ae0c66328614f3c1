import DStreamCore
import DStreamTestKit
import FaultTolerance
import Testing

/// A crash or a failure at every operation of a checkpoint store's life.
@Suite(.timeLimit(.minutes(5))) struct CheckpointCrashTests {
    private typealias History = CheckpointHistory

    private struct Outcome {
        /// The numbers whose writes returned.
        var acknowledged: [Int] = []
        /// The one that was being written when the medium crashed.
        var attempted = 0
    }

    /// Writes some checkpoints, opens the store again in between, until the medium crashes.
    private func run(on medium: SimulatedStorageMedium) async -> Outcome {
        var outcome = Outcome()
        do {
            var store = try await History.open(medium, retainedCount: 3)
            _ = try await store.recover()
            for number in 1...7 {
                outcome.attempted = number
                try await store.write(History.record(number), state: History.pieces(number))
                outcome.acknowledged.append(number)
                guard number == 4 else { continue }
                await store.close()
                store = try await History.open(medium, retainedCount: 3)
                _ = try await store.recover()
            }
            await store.close()
        } catch {}
        return outcome
    }

    private func changes() async throws -> [Int] {
        let medium = SimulatedStorageMedium(sectorByteCount: 16)
        let outcome = await run(on: medium)
        #expect(outcome.acknowledged == Array(1...7))
        return medium.operations.filter { $0.kind.isChange }.map(\.number)
    }

    @Test func aCrashAnywhereLosesNothingThatWasKept() async throws {
        for crash in [0] + (try await changes()) {
            for seed in 0..<8 as Range<UInt64> {
                let medium = SimulatedStorageMedium(sectorByteCount: 16)
                medium.crash(afterOperation: crash)
                let outcome = await run(on: medium)
                try await check(outcome, medium.reopened(seed: seed), "\(crash), seed \(seed)")
            }
        }
    }

    @Test func theEndOfTheProgramAnywhereLosesNothingThatWasKept() async throws {
        for crash in try await changes() {
            let medium = SimulatedStorageMedium()
            medium.crash(afterOperation: crash)
            let outcome = await run(on: medium)
            try await check(outcome, medium.restarted(), "\(crash)")
        }
    }

    /// Recovers, goes on, crashes again, and recovers.
    private func check(
        _ outcome: Outcome, _ medium: SimulatedStorageMedium, _ place: String
    ) async throws {
        do {
            let store = try await History.open(medium, retainedCount: 3)
            let found = try await store.recover()
            let last = found.map { Int($0.record.time.milliseconds / 1000) } ?? 0
            let allowed = [outcome.acknowledged.last ?? 0, outcome.attempted]
            #expect(allowed.contains(last), "\(last) after a crash at \(place)")
            #expect(found?.problems ?? [] == [], "crash at \(place)")
            let numbers = last == 0 ? [] : Array(1...last)
            if last > 0 {
                #expect(found?.record == History.record(last), "crash at \(place)")
                #expect(
                    found.map { History.sorted($0.state) } == numbers.flatMap(History.pieces),
                    "crash at \(place)")
            }
            try await store.write(History.record(20), state: History.pieces(20))
            let again = try await History.open(medium.reopened(seed: 1), retainedCount: 3)
            #expect(
                try await History.recover(again)
                    == History.recovered(History.record(20), piecesOf: numbers + [20]),
                "going on after a crash at \(place)")
        } catch {
            Issue.record("crash at \(place): \(error)")
        }
    }

    @Test(arguments: [StorageError.Code.full, .failed])
    func aWriteThatFailsLeavesTheOneBefore(_ code: StorageError.Code) async throws {
        let count = try await failing(nil, code, goingOn: true)
        for operation in 1...count {
            for goingOn in [false, true] {
                _ = try await failing(operation, code, goingOn: goingOn)
            }
        }
    }

    /// Lets one operation of the third write fail; gives how many operations that write has.
    private func failing(
        _ operation: Int?, _ code: StorageError.Code, goingOn: Bool
    ) async throws -> Int {
        let medium = SimulatedStorageMedium()
        let store = try await History.open(medium, retainedCount: 2)
        for number in 1...2 {
            try await store.write(History.record(number), state: History.pieces(number))
        }
        let before = medium.operations.count
        if let operation { medium.fail(operation: before + operation, with: code) }
        var isKept = true
        do {
            try await store.write(History.record(3), state: History.pieces(3))
        } catch {
            isKept = false
        }
        let count = medium.operations.count - before
        medium.fail(where: nil)
        // Pieces written side by side share flushes or not: a write may have had fewer operations.
        let failed = medium.operations.dropFirst(before + (operation ?? 1) - 1).first
        let place: Comment = "failure of \(failed as Any)"
        var expected = History.recovered(
            History.record(isKept ? 3 : 2), piecesOf: isKept ? [1, 2, 3] : [1, 2])
        if goingOn {
            try await store.write(History.record(4), state: History.pieces(4))
            expected = History.recovered(
                History.record(4), piecesOf: isKept ? [1, 2, 3, 4] : [1, 2, 4])
            let files = try medium.list(History.directory).filter { $0.hasPrefix("checkpoint-") }
            #expect(files.count == 2, place)
        }
        let after = goingOn ? medium.reopened(seed: UInt64(count)) : medium.restarted()
        let later = try await History.open(after, retainedCount: 2)
        #expect(try await History.recover(later) == expected, place)
        return count
    }
}

import DStreamCore
import DStreamTestKit
import FaultTolerance
import Testing

/// A crash or a failure at every single operation of scripted histories.
@Suite(.timeLimit(.minutes(5))) struct LogCrashTests {
    /// The numbers of the operations of an undisturbed run that change anything.
    private func changes(of history: LogHistory) async throws -> [Int] {
        let medium = SimulatedStorageMedium(sectorByteCount: 16)
        let outcome = await history.run(on: medium)
        #expect(outcome.errors.isEmpty)
        #expect(outcome.acknowledged == outcome.submitted)
        let log = try await history.open(medium.restarted())
        #expect(outcome.faults(of: try await log.readAll()).isEmpty)
        return medium.operations.filter { $0.kind.isChange }.map(\.number)
    }

    @Test(arguments: LogHistory.all.indices)
    func acknowledgedRecordsSurviveACrashAnywhere(_ index: Int) async throws {
        let history = LogHistory.all[index]
        for crash in [0] + (try await changes(of: history)) {
            for seed in 0..<UInt64(12.testRounds) {
                let medium = SimulatedStorageMedium(sectorByteCount: 16)
                medium.crash(afterOperation: crash)
                let outcome = await history.run(on: medium)
                try await check(outcome, medium.reopened(seed: seed), "\(crash), seed \(seed)")
            }
        }
    }

    @Test(arguments: LogHistory.all.indices)
    func acknowledgedRecordsSurviveTheEndOfTheProgramAnywhere(_ index: Int) async throws {
        let history = LogHistory.all[index]
        for crash in try await changes(of: history) {
            let medium = SimulatedStorageMedium()
            medium.crash(afterOperation: crash)
            let outcome = await history.run(on: medium)
            try await check(outcome, medium.restarted(), "\(crash)")
        }
    }

    @Test(arguments: LogHistory.all.indices)
    func theMendingMayCrashAsWell(_ index: Int) async throws {
        let history = LogHistory.all[index]
        for crash in try await changes(of: history) {
            let medium = SimulatedStorageMedium(sectorByteCount: 16)
            medium.crash(afterOperation: crash)
            let outcome = await history.run(on: medium)
            let seed = UInt64(crash)
            for second in 1..<12 {
                let next = medium.reopened(seed: seed)
                next.crash(afterOperation: second)
                _ = try? await history.open(next)
                try await check(
                    outcome, next.reopened(seed: UInt64(second)), "\(crash), then \(second)")
            }
        }
    }

    @Test(arguments: LogHistory.all.indices)
    func acknowledgedRecordsSurviveAFailureAnywhere(_ index: Int) async throws {
        let history = LogHistory.all[index]
        let codes: [StorageError.Code] = [.full, .failed, .readOnly]
        for failing in try await changes(of: history) {
            let medium = SimulatedStorageMedium(sectorByteCount: 16)
            medium.fail(operation: failing, with: codes[failing % codes.count])
            let outcome = await history.run(on: medium)
            let place = "failure at \(medium.operations[failing - 1])"
            try await check(outcome, medium.reopened(seed: UInt64(failing)), place)
        }
    }

    @Test(arguments: LogHistory.all.indices)
    func acknowledgedRecordsSurviveAMediumThatStaysBroken(_ index: Int) async throws {
        let history = LogHistory.all[index]
        for failing in try await changes(of: history) {
            let medium = SimulatedStorageMedium(sectorByteCount: 16)
            medium.fail { $0.number >= failing && $0.kind.isChange ? .readOnly : nil }
            let outcome = await history.run(on: medium)
            // What a failed flush forgot is still read until the machine crashes.
            try await check(outcome, medium.restarted(), "broken from \(failing)", crashing: false)
            try await check(outcome, medium.reopened(seed: UInt64(failing)), "from \(failing)")
        }
    }

    /// Opens the log, reads it twice, goes on with it, and crashes it once more.
    private func check(
        _ outcome: LogHistory.Outcome, _ medium: SimulatedStorageMedium, _ place: String,
        crashing: Bool = true
    ) async throws {
        do {
            let log = try await FileWriteAheadLog.open(LogHistory.directory, on: medium)
            let read = try await log.readAll()
            let faults = outcome.faults(of: read)
            #expect(faults.isEmpty, "crash at \(place)")
            _ = try await log.write([255, 1], time: .seconds(1000))
            let again = try await log.readAll()
            #expect(again == read + [[255, 1]], "crash at \(place)")
            guard crashing else { return }
            let after = medium.reopened(seed: 1)
            let last = try await FileWriteAheadLog.open(LogHistory.directory, on: after)
            #expect(try await last.readAll() == again, "crash at \(place), and again")
        } catch {
            Issue.record("crash at \(place): \(error)")
        }
    }
}

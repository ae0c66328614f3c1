import DStreamCore
import DStreamTestKit
import FaultTolerance
import Testing

/// The promises of the port, kept by every log on every medium.
@Suite(.timeLimit(.minutes(5))) struct LogCheckTests {
    private static let options = [
        FileWriteAheadLog.Options(),
        FileWriteAheadLog.Options(rollingInterval: .milliseconds(1), groupByteMaximum: 1),
        FileWriteAheadLog.Options(closeFileAfterWrite: true),
    ]

    @Test func theLogInMemory() async throws {
        try await checkWriteAheadLog({ InMemoryWriteAheadLog() })
    }

    @Test(arguments: options)
    func theLogOnFiles(_ options: FileWriteAheadLog.Options) async throws {
        try await TemporaryDirectory.with { directory in
            var count = 0
            try await checkWriteAheadLog {
                count += 1
                return try await FileWriteAheadLog.open(
                    "\(directory)/\(count)/log", options: options)
            } reopen: { log in
                guard let log = log as? FileWriteAheadLog else { return log }
                return try await FileWriteAheadLog.open(log.directory, options: options)
            }
        }
    }

    @Test(arguments: options)
    func theLogOnASimulatedMedium(_ options: FileWriteAheadLog.Options) async throws {
        let medium = SimulatedStorageMedium()
        var count = 0
        try await checkWriteAheadLog {
            count += 1
            return try await FileWriteAheadLog.open("/\(count)", on: medium, options: options)
        } reopen: { log in
            guard let log = log as? FileWriteAheadLog else { return log }
            return try await FileWriteAheadLog.open(log.directory, on: medium, options: options)
        }
    }
}

import BatchEngine
import ProcessEngine

// A program for the tests of worker processes.
do {
    switch Probe.settings.pipeline {
    case "imperative": try await runInPlace()
    case "garbage": try await Garbage.run()
    default: try await Probe.run()
    }
} catch {
    print("FAILED \(error)")
    ProcessEnvironment.exit(1)
}

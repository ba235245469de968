/**
 * Some frontends (1.32, for one) load a language over what packs have translated into it, see ComfyUI_frontend pull request 7214.
 * What the host serves of packs' words is then put in again; frontends that keep it are left alone.
 */
import { app } from '../../scripts/app.js'
import { api } from '../../scripts/api.js'

const KEPT = 'nodeDefs.VLDM_VideoKSampler.display_name'

function translations() {
  const vue = document.querySelector('#vue-app')?.__vue_app__
  return vue?._context?.provides?.[vue.__VUE_I18N_SYMBOL__]?.global
}

app.registerExtension({
  name: 'videoldm.Languages',
  async setup() {
    const shown = translations()
    const language = shown?.locale?.value
    if (!language || language === 'en' || shown.te(KEPT, language)) return
    const words = await (await api.fetchApi('/i18n')).json()
    if (!words[language]) return
    shown.mergeLocaleMessage(language, words[language])
    await app.extensionManager.command.execute('Comfy.RefreshNodeDefinitions')
  }
})
